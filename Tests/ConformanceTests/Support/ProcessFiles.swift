import Glibc
import RawWire

/// What /proc tells of processes and sockets (proc(5)).
enum ProcessFiles {
    /// The children of `parent`, with zombies.
    static func children(of parent: pid_t) -> [pid_t] {
        entries("/proc/\(parent)/task").flatMap { thread in
            (text("/proc/\(parent)/task/\(thread)/children") ?? "").split(separator: " ").compactMap { pid_t($0) }
        }.sorted()
    }

    /// R, S, D, T, Z …; nil where there is no such process.
    static func state(of pid: pid_t) -> Character? { field(3, of: pid)?.first }

    /// Every open descriptor with what it is: `socket:[4711]`, `pipe:[4712]`, `/dev/null`.
    static func descriptors(of pid: pid_t) -> [Int32: String] {
        var all: [Int32: String] = [:]
        for entry in entries("/proc/\(pid)/fd") {
            if let number = Int32(entry), let target = link("/proc/\(pid)/fd/\(entry)") { all[number] = target }
        }
        return all
    }

    /// The processes that were started with `word` as one of their arguments and without `other`; those that have ended
    /// have no arguments any more.
    static func processes(with word: String, without other: String) -> [pid_t] {
        entries("/proc").compactMap { pid_t($0) }.filter { pid in
            guard let line = text("/proc/\(pid)/cmdline")?.split(separator: "\0") else { return false }
            return line.contains { $0 == word } && !line.contains { $0 == other }
        }
    }

    /// RssAnon in bytes: without pages of files, of which a busy machine may bring some as code runs for the first time.
    static func anonymousMemory(of pid: pid_t) -> Int? {
        guard let status = text("/proc/\(pid)/status"),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") })
        else { return nil }
        return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }

    /// Processor time in clock ticks (a hundredth of a second each).
    static func processorTicks(of pid: pid_t) -> Int? {
        guard let user = field(14, of: pid), let system = field(15, of: pid) else { return nil }
        return (Int(user) ?? 0) + (Int(system) ?? 0)
    }

    /// How far it lets others go first, from -20 to 19.
    static func niceness(of pid: pid_t) -> Int? { field(19, of: pid).flatMap { Int($0) } }

    /// The field `number` of /proc/PID/stat, counted from 1 as in proc(5); the second, in parentheses, is skipped.
    private static func field(_ number: Int, of pid: pid_t) -> Substring? {
        guard let stat = text("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        return fields.count > number - 3 ? fields[number - 3] : nil
    }

    static func link(_ path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink(path, &buffer, buffer.count)
        return count < 0 ? nil : String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func text(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return count == 0 ? String(decoding: all, as: UTF8.self) : nil }
            all += buffer.prefix(count)
        }
    }

    static func entries(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}
