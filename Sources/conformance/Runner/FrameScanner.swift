import RawWire

/// Finds the frames in a stream that is seen piece by piece, whatever its first 8 bytes are.
///
/// Of a long frame it finds the header alone, as soon as that is there.
struct FrameScanner {
    private static let longest = 1024

    private var hasPreface = false
    /// What has come of the preface, or of a frame.
    private var begun: [UInt8] = []
    /// How many bytes of a long frame are still to come.
    private var skipped = 0

    /// The frames that end in `bytes`, which follow those of the last call.
    mutating func frames(in bytes: ArraySlice<UInt8>) -> [RawFrame] {
        var frames: [RawFrame] = []
        var rest = bytes
        while !rest.isEmpty {
            if skipped > 0 {
                let count = min(skipped, rest.count)
                skipped -= count
                rest = rest.dropFirst(count)
                continue
            }
            begun.append(rest.removeFirst())
            if !hasPreface {
                hasPreface = begun.count == RawFrame.preface.count
                if hasPreface { begun = [] }
            } else if begun.count >= RawFrame.headerLength {
                let length = Int(UInt32(bigEndian: begun[...]))
                if length > FrameScanner.longest {
                    skipped = length
                    // Without its bytes it is one that claims none.
                    if let header = RawFrame(parsing: [0, 0, 0, 0] + begun[4...]) { frames.append(header) }
                    begun = []
                } else if let frame = RawFrame(parsing: begun[...]) {
                    frames.append(frame)
                    begun = []
                }
            }
        }
        return frames
    }
}
