import Glibc
import RawWire

/// The threads of this process (/proc/self/task in proc(5)).
enum ThreadTable {
    static var names: [String] {
        guard let directory = opendir("/proc/self/task") else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let id = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if let name = ProcessFiles.text("/proc/self/task/\(id)/comm") { names.append(name) }
        }
        return names
    }

    static func count(named prefix: String) -> Int { names.count { $0.hasPrefix(prefix) } }
}
