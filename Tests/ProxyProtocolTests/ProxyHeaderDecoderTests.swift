import Testing

@testable import ProxyProtocol

@Suite struct ProxyHeaderDecoderTests {
    @Test func nothingIsNoHeaderYet() throws {
        var decoder = ProxyHeaderDecoder()
        #expect(try decoder.take([]) == .needsMore)
    }
}
