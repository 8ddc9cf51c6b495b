import Testing
import RawWire

/// Bytes that break a rule, and the code that they are answered with.
struct Breach: CustomTestStringConvertible {
    let sentence: String
    let bytes: [UInt8]
    let code: RawCode
    let testDescription: String

    init(_ number: String, _ sentence: String, _ frames: RawFrame..., code: RawCode = .protocolError) {
        self.init(number, sentence, frames.flatMap(\.bytes), code: code)
    }

    init(_ number: String, _ sentence: String, _ bytes: [UInt8], code: RawCode = .protocolError) {
        self.sentence = sentence
        self.bytes = bytes
        self.code = code
        testDescription = "\(number) \(sentence)"
    }

    /// Sends the bytes on `peer`, which has got all that it is owed, and expects to be dropped for them.
    func expectDrop(
        of peer: RawPeer, greeted: Bool = false, by server: ServerProcess, _ chop: Chop,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try peer.send(bytes, chop: chop)
        if !greeted { try peer.takePreface() }
        let frame = try peer.takeFrame()
        let close = frame.notice
        #expect(frame.type == .close, sourceLocation: sourceLocation)
        #expect(close?.code == code, "\(frame)", sourceLocation: sourceLocation)
        #expect(close?.zero == 0 && close?.lastID == 0, "\(frame)", sourceLocation: sourceLocation)
        // 8-2: a person is told what was wrong.
        #expect(close?.text.isEmpty == false && close?.text.count ?? 0 <= 512, sourceLocation: sourceLocation)
        try peer.takeEnd()
        try server.log.line(with: "closed", "reason=\(code)", "peer=127.0.0.1:\(peer.localPort) ")
    }
}
