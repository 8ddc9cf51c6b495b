import RawWire

/// What went over one connection, for a person: pieces in their order, with the frames that end in each.
struct WireLog {
    /// What is recognised in a direction.
    enum WireItem: Equatable {
        case preface
        /// The stream does not begin with the preface: the bytes up to the first that is wrong, or up to its end.
        case noPreface([UInt8])
        /// A frame; of a long one the payload is its beginning, and `claimedLength` its length.
        case frame(RawFrame)
        /// A frame whose end never came, with all that came of it.
        case unfinished([UInt8])
    }

    /// Bytes of one direction, from one call or from several in quick succession.
    struct WireEntry {
        let direction: Trace.Direction
        let at: Duration
        var lastAt: Duration
        var pieces = 1
        var bytes: [UInt8]
        /// How many bytes there are; `bytes` are the first of them.
        var count: Int
        var items: [WireItem]
        var ending: RawPeer.StreamEnd?
    }

    /// A flood is shown by its beginning.
    static let mostEntries = 200
    static let mostBytes = 96
    /// What comes within this time, and ends no frame before, is one entry: `--chop` makes a piece of every byte.
    static let together = Duration.milliseconds(10)

    private(set) var entries: [WireEntry] = []
    /// How many pieces are not shown.
    private(set) var omitted = 0

    init(_ pieces: [Trace.Piece]) {
        var readers = [Trace.Direction.sent: FrameReader(), .received: FrameReader()]
        for (index, piece) in pieces.enumerated() {
            let items = readers[piece.direction, default: FrameReader()].items(in: piece.bytes[...])
            if continues(piece) {
                entries[entries.count - 1].add(piece, items)
                continue
            }
            guard entries.count < WireLog.mostEntries else {
                omitted = pieces.count - index
                return
            }
            entries.append(WireEntry(piece, items))
        }
        for index in entries.indices.reversed() {
            guard let rest = readers[entries[index].direction]?.rest else { continue }
            readers[entries[index].direction] = nil
            entries[index].items.append(rest)
        }
    }

    private func continues(_ piece: Trace.Piece) -> Bool {
        guard let last = entries.last else { return false }
        return last.direction == piece.direction && last.items.isEmpty && last.ending == nil && piece.ending == nil
            && piece.at - last.lastAt < WireLog.together
    }
}

extension WireLog.WireEntry {
    init(_ piece: Trace.Piece, _ items: [WireLog.WireItem]) {
        self.init(
            direction: piece.direction, at: piece.at, lastAt: piece.at,
            bytes: Array(piece.bytes.prefix(WireLog.mostBytes)), count: piece.bytes.count, items: items,
            ending: piece.ending)
    }

    mutating func add(_ piece: Trace.Piece, _ items: [WireLog.WireItem]) {
        lastAt = piece.at
        pieces += 1
        bytes += piece.bytes.prefix(WireLog.mostBytes - bytes.count)
        count += piece.bytes.count
        self.items += items
    }
}

/// Finds the frames of one direction as their last byte comes. It keeps the beginning of each alone.
private struct FrameReader {
    /// Longer than any frame whose fields are shown.
    private static let most = 2048

    private enum Place { case preface, frames, foreign }

    private var place = Place.preface
    /// What came of the preface or of the frame.
    private var begun: [UInt8] = []
    /// How many bytes of a long frame are still to come.
    private var missing = 0

    mutating func items(in bytes: ArraySlice<UInt8>) -> [WireLog.WireItem] {
        var items: [WireLog.WireItem] = []
        var rest = bytes
        while !rest.isEmpty, place != .foreign {
            if missing > 0 {
                let count = min(missing, rest.count)
                missing -= count
                rest = rest.dropFirst(count)
                if missing == 0 { items.append(takeFrame()) }
                continue
            }
            let count = min(goal - begun.count, rest.count)
            begun += rest.prefix(count)
            rest = rest.dropFirst(count)
            switch place {
            case .preface where !RawFrame.preface.starts(with: begun):
                place = .foreign
                items.append(.noPreface(begun + rest.prefix(FrameReader.most)))
            case .preface where begun.count == goal:
                place = .frames
                begun = []
                items.append(.preface)
            case .frames where begun.count >= RawFrame.headerLength && begun.count == RawFrame.headerLength + length:
                items.append(takeFrame())
            case .frames where begun.count == FrameReader.most:
                missing = RawFrame.headerLength + length - begun.count
            default: break
            }
        }
        return items
    }

    /// What was begun and never ended.
    var rest: WireLog.WireItem? {
        guard place != .foreign, !begun.isEmpty else { return nil }
        return place == .preface ? .noPreface(begun) : .unfinished(begun)
    }

    /// How many bytes of what was begun are looked at together.
    private var goal: Int {
        if place == .preface { return RawFrame.preface.count }
        if begun.count < RawFrame.headerLength { return RawFrame.headerLength }
        return min(RawFrame.headerLength + length, FrameReader.most)
    }

    /// What the header says; 0 where it is not whole.
    private var length: Int { begun.count < 4 ? 0 : Int(UInt32(bigEndian: begun[...])) }

    private mutating func takeFrame() -> WireLog.WireItem {
        defer { begun = [] }
        return .frame(RawFrame(beginning: begun))
    }
}

extension RawFrame {
    /// A frame of which at least the header came.
    init(beginning bytes: [UInt8]) {
        let length = UInt32(bigEndian: bytes[...])
        let payload = Array(bytes.dropFirst(RawFrame.headerLength))
        let came = UInt32(payload.count)
        self = RawFrame(parsing: bigEndian(came) + bytes[4...])!
        if came != length { claimedLength = length }
    }
}
