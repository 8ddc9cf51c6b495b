import Glibc

/// The children of this process, which has one thread, with those that are not reaped (proc(5)).
public func childProcesses() -> [ProcessID] {
    // Kernels without CONFIG_PROC_CHILDREN lack the file. There the parent of every process is read.
    if let list = text(of: "/proc/self/task/\(processID)/children") {
        return list.split(separator: " ").compactMap { ProcessID($0) }
    }
    return everyProcess().filter { pid in
        guard let status = text(of: "/proc/\(pid)/stat"), let name = status.lastIndex(of: ")") else { return false }
        let fields = status[name...].split(separator: " ")
        return fields.count > 2 && fields[2] == "\(processID)"
    }
}

private func everyProcess() -> [ProcessID] { fileNames(in: "/proc").compactMap { ProcessID($0) } }

private func text(of path: String) -> String? {
    (try? contents(ofFile: path, most: 1 << 22)).map { String(decoding: $0, as: UTF8.self) }
}

/// Whether process `pid` was started with the environment variable `variable` (`NAME=value`); false where its environment
/// cannot be read (proc(5)).
public func wasStarted(_ pid: ProcessID, with variable: String) -> Bool {
    guard let environment = try? contents(ofFile: "/proc/\(pid)/environ", most: 1 << 22) else { return false }
    return environment.split(separator: 0).contains { $0.elementsEqual(variable.utf8) }
}
