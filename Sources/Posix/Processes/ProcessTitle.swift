import CPosix
import Glibc

/// The title of this process, which `ps` shows: the memory of its arguments, and of the environment behind them.
///
/// A change needs no system call. The first change in a forked process copies one page (4 KiB).
public struct ProcessTitle: @unchecked Sendable {
    /// The title of this process; nil where /proc does not tell its address.
    ///
    /// The first use copies the arguments and the environment elsewhere, so it must come before the first fork.
    public static let own = ProcessTitle()

    private let start: UnsafeMutablePointer<UInt8>
    private let arguments: Int
    private let size: Int

    private init?() {
        // The start and the end of the arguments are the fields 48 and 49; the second may hold anything (proc(5)).
        guard let stat = try? contents(ofFile: "/proc/self/stat", most: 4096), let end = stat.lastIndex(of: 0x29) else {
            return nil
        }
        let fields = stat[(end + 1)...].split { $0 == 0x20 || $0 == 0x0A }.map { String(decoding: $0, as: UTF8.self) }
        guard fields.count > 46, let from = UInt(fields[45]), let to = UInt(fields[46]), to > from,
            let start = UnsafeMutablePointer<UInt8>(bitPattern: from)
        else { return nil }
        // Read now, they are kept.
        _ = CommandLine.arguments
        arguments = Int(to - from)
        size = start.withMemoryRebound(to: CChar.self, capacity: arguments) { [arguments] in
            cposix_take_title($0, arguments)
        }
        guard size > 0 else { return nil }
        self.start = start
    }

    /// Replaces the title behind its first `offset` bytes by `text`, cut to the room that there is.
    public func set(_ text: String, behind offset: Int = 0) {
        var text = text
        text.withUTF8 { set($0, behind: offset) }
    }

    /// Replaces the title by text in bytes, as above.
    public func set(_ text: UnsafeBufferPointer<UInt8>, behind offset: Int = 0) {
        let room = max(0, size - 1 - offset)
        if let bytes = text.baseAddress { (start + offset).update(from: bytes, count: min(text.count, room)) }
        let end = offset + min(text.count, room)
        // The kernel shows all of the arguments' memory while its last byte is 0, and else what comes before the first 0.
        for index in end..<max(arguments, end + 1) where index < size { start[index] = 0 }
    }
}
