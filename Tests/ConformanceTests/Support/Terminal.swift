import Glibc
import RawWire

/// A pseudo-terminal whose other end a test types into (pts(4)).
final class Terminal {
    private let screen: Int32
    /// The end that a command takes for its terminal.
    let path: String
    private(set) var text = ""

    init() throws {
        screen = OpenDescriptors.add(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC))
        // TIOCSPTLCK and TIOCGPTN (ioctl_tty(2)): what unlockpt(3) and ptsname(3) do.
        var locked: Int32 = 0
        var number: Int32 = 0
        guard screen >= 0, ioctl(screen, 0x4004_5431, &locked) == 0, ioctl(screen, 0x8004_5430, &number) == 0 else {
            throw systemError("open /dev/ptmx")
        }
        path = "/dev/pts/\(number)"
    }

    deinit { OpenDescriptors.close(screen) }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(screen, bytes, bytes.count)
    }

    /// Waits until `part` stands on the screen behind what was waited for before.
    func wait(for part: String, within limit: Duration = RawPeer.patience) throws {
        let deadline = SuspendingClock.now + limit
        while true {
            if let range = text.firstRange(of: part) {
                text = String(text[range.upperBound...])
                return
            }
            guard waitUntilReady(screen, POLLIN, until: deadline) else {
                throw Unexpected("'\(part)' is not on the screen, but \(text.debugDescription)")
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(screen, &buffer, buffer.count)
            guard count > 0 else { throw Unexpected("the terminal was closed; it showed \(text.debugDescription)") }
            text += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
    }
}
