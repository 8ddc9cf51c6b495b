import RawWire

/// Sends messages as far as credit allows (Protocol.md, section 3.8).
struct MessageSender {
    private(set) var limit: UInt64
    private(set) var spent: UInt64 = 0
    /// Whole messages.
    private(set) var sent: UInt64 = 0
    /// The longest message in one frame.
    private let longest: Int

    init(limit: UInt64, longest: Int) {
        self.limit = limit
        self.longest = longest
    }

    var mayBegin: Bool { spent < limit }

    mutating func take(_ credit: CreditFields) { limit = max(limit, credit.limit) }

    /// A message of `count` bytes, in chunks where it is longer than a frame may be.
    mutating func message(_ count: Int) -> [UInt8] {
        spent += RawFrame.cost(of: count)
        sent += 1
        guard count > longest else { return RawFrame.message([UInt8](repeating: 0x6D, count: count)).bytes }
        return stride(from: 0, to: count, by: longest).flatMap { start in
            let chunk = [UInt8](repeating: 0x6D, count: min(longest, count - start))
            return RawFrame.message(chunk, more: start + chunk.count < count).bytes
        }
    }

    /// Messages until none may begin, or until they cost `most` all together and no more.
    mutating func fill(upTo most: UInt64? = nil) throws -> [UInt8] {
        guard limit < 64 << 20 else { throw Skip("the peer's limit is \(limit)") }
        var bytes: [UInt8] = []
        while mayBegin {
            var count = min(Int(limit - spent), longest)
            if let most {
                guard spent + RawFrame.cost(of: 0) <= most else { break }
                count = min(count, Int(most - spent) - RawFrame.headerLength)
            }
            bytes += message(count)
        }
        return bytes
    }
}
