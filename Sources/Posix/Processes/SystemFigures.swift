import Glibc

/// Figures of the kernel in /proc and /sys, for reports (proc(5), cgroups(7)).
public enum SystemFigures {
    /// The text of the small file at a path; nil where it cannot be read.
    public static func text(_ path: String) -> String? {
        guard let bytes = try? contents(ofFile: path, most: 1 << 20) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The number that a file begins with; nil where it begins with none, such as `max`.
    public static func number(_ path: String) -> UInt64? { text(path).flatMap(leadingNumber) }

    /// The number behind `key` in a file with a key and a number on each line; nil where there is none.
    public static func number(_ path: String, key: String) -> UInt64? {
        let line = text(path)?.split(separator: "\n").first { $0.split { $0 == " " || $0 == ":" }.first == key[...] }
        return line.flatMap { leadingNumber($0.dropFirst(key.count).drop { !("0"..."9").contains($0) }) }
    }

    /// The bytes of this process's address space (/proc/self/statm in proc(5)); nil where the kernel does not tell.
    public static var addressSpace: UInt64? { number("/proc/self/statm").map { $0 * UInt64(getpagesize()) } }

    private static func leadingNumber(_ text: some StringProtocol) -> UInt64? {
        UInt64(text.prefix { ("0"..."9").contains($0) })
    }

    /// The number of processes and threads of all users.
    public static var tasks: UInt64 {
        guard let load = text("/proc/loadavg")?.split(separator: " "), load.count > 3 else { return 0 }
        return load[3].split(separator: "/").last.flatMap { UInt64($0) } ?? 0
    }

    /// The number of processes and threads of `user` that /proc shows.
    public static func tasks(of user: UInt32) -> UInt64 {
        var sum: UInt64 = 0
        for name in fileNames(in: "/proc") where UInt32(name) != nil {
            let status = "/proc/\(name)/status"
            if number(status, key: "Uid") == UInt64(user) { sum += number(status, key: "Threads") ?? 0 }
        }
        return sum
    }

    /// The bytes of this process in RAM, and those of its address space (/proc/self/statm in proc(5)); nil where /proc does
    /// not tell.
    public static var memory: (resident: UInt64, virtual: UInt64)? {
        let pages = text("/proc/self/statm")?.split(separator: " ").prefix(2).compactMap { UInt64($0) } ?? []
        guard pages.count == 2 else { return nil }
        let size = UInt64(getpagesize())
        return (pages[1] * size, pages[0] * size)
    }

    /// The user that this process runs as (getuid(2)).
    public static var user: UInt32 { getuid() }
}
