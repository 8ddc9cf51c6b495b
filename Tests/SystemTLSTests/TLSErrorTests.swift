import Testing

@testable import SystemTLS

@Suite struct TLSErrorTests {
    @Test func anErrorSaysWhatItIs() { #expect(TLSError("x").text == "x") }
}
