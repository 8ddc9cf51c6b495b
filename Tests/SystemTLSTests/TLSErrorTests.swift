import Testing

@testable import SystemTLS

@Suite struct TLSErrorTests {
    @Test func anErrorSaysWhatItIs() { #expect(TLSError(.failed, "x").text == "x") }
}
