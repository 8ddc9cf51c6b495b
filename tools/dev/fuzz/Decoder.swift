/// Any chopping gives the same messages and the same violation, and holds no more than was sent and a constant.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzDecoder(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var script = Script(start, count)
    let setting = script.byte()
    let seed = script.byte()
    var bytes = script.rest()
    if setting & 1 == 0 { bytes = Preface.bytes + bytes }
    let side: Side = setting & 2 == 0 ? .client : .server
    let isShort = setting & 4 != 0
    let maxFrame: UInt32 = setting & 8 == 0 ? 256 : 16384
    let maxMessage: UInt32 = setting & 16 == 0 ? 700 : 1 << 20
    // In force from the first byte on: who sets it waits for the handshake, and the decoder need not care.
    let agreement = FrameDecoder.Agreement(credit: setting & 32 != 0, answers: setting & 64 != 0)

    func decode(
        _ size: @escaping (Int) -> Int, keeping: Bool
    ) -> (found: [Found], messageBytes: UInt64, violation: Violation?) {
        var decoder = FrameDecoder(from: side, maxFrame: maxFrame, maxMessage: maxMessage, isShort: isShort)
        decoder.agreement = agreement
        var assembler = MessageAssembler()
        var found: [Found] = []
        var messageBytes: UInt64 = 0
        var position = 0
        var turn = 0
        let before = heapBytes()
        while position < bytes.count {
            let end = min(bytes.count, position + max(1, size(turn)))
            let chunk = Array(bytes[position..<end])
            var offset = 0
            do throws(Violation) {
                while let frame = try decoder.next(in: chunk.span, at: &offset) {
                    guard case .part(let part) = frame else {
                        if keeping { found.append(.frame(frame)) }
                        // A failure ends what of its response has come.
                        if case .failure = frame, decoder.isBetweenMessages { assembler.abandon() }
                        continue
                    }
                    messageBytes += part.frameLength
                    if let message = assembler.add(part, of: chunk), keeping {
                        found.append(.message(part.type, id: part.id, Array(message)))
                    }
                }
            } catch {
                return (found, messageBytes, error)
            }
            require(offset == chunk.count, "bytes were left")
            position = end
            turn += 1
            if !keeping {
                let held = heapBytes() - before
                require(held <= 4 * position + 8192, "\(held) bytes are held for \(position)")
            }
        }
        return (found, messageBytes, nil)
    }

    let whole = decode({ _ in bytes.count }, keeping: true)
    let choppings: [(Int) -> Int] = [
        { _ in 1 }, { turn in Int(seed &* 31 &+ UInt8(truncatingIfNeeded: turn) &* 17) % 40 },
    ]
    for size in choppings {
        let chopped = decode(size, keeping: true)
        require(chopped.found == whole.found && chopped.messageBytes == whole.messageBytes, "other frames")
        // A preface is quoted as far as it has come.
        require(
            chopped.violation == whole.violation
                || (chopped.violation?.code == .badPreface && whole.violation?.code == .badPreface), "another violation"
        )
    }
    _ = decode({ _ in 7 }, keeping: false)
    return 0
}
