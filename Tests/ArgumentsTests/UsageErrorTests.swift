import Testing

@testable import Arguments

@Suite struct UsageErrorTests {
    @Test("What was typed cannot command a terminal, or forge a line")
    func escaped() {
        #expect(
            UsageError("'\u{1B}[31mred\u{202E}\n' is wrong").description == "'\\u{1b}[31mred\\u{202e}\\u{a}' is wrong")
        #expect(UsageError("'grün €' is \"wrong\"").description == "'grün €' is \"wrong\"")
    }
}
