import Glibc
import RawWire

/// A pipe that holds as little as the system allows, for a stream that nobody reads. Whoever makes it closes it.
final class SmallPipe {
    let readEnd: Int32
    let writeEnd: Int32
    /// How many bytes it holds.
    let capacity: Int

    init() throws {
        (readEnd, writeEnd) = try OpenDescriptors.pipe()
        capacity = Int(fcntl(writeEnd, 1031, 4096))  // F_SETPIPE_SZ
    }

    /// Leaves no room in it.
    func fill() throws {
        guard write(writeEnd, [UInt8](repeating: 0x78, count: capacity), capacity) == capacity else {
            throw systemError("write")
        }
    }

    func close() { for end in [readEnd, writeEnd] { OpenDescriptors.close(end) } }
}
