import Testing

@testable import Framing

@Suite("The first words of a client that leaves at once")
struct OutboxGreetingTests {
    @Test("7.5 HELLO stays ahead of a drop's CLOSE though no byte of it was sent")
    func dropBeforeHello() throws {
        var outbox = Outbox()
        outbox.greet(Hello())
        outbox.cutOff(Close(.protocolError))
        var decoder = FrameDecoder(from: .client, maxFrame: 256, maxMessage: 256)
        let bytes = Array(outbox.unsent)
        var offset = 0
        #expect(try decoder.next(in: bytes.span, at: &offset) == .hello(Hello()))
        #expect(try decoder.next(in: bytes.span, at: &offset) == .close(Close(.protocolError)))
    }
}
