import Testing

@testable import LifelineServer

@Suite("Names of topics")
struct TopicNameTests {
    @Test(
        "Names that are possible",
        arguments: ["a", "room/1", "größe", "日本", "a$", "~!@#%^&()", String(repeating: "x", count: 255)])
    func good(name: String) throws {
        let topic = try TopicName(name)
        #expect(topic.text == name)
        #expect(topic.bytes == Array(name.utf8))
    }

    @Test(
        "Names that are not, and why",
        arguments: [
            ("", "it is empty"), (String(repeating: "x", count: 256), "it has 256 bytes, and at most 255 are possible"),
            ("$SYS/x", "one that begins with $ is kept for the server"),
            ("room/*", "it has a *, and there are no wildcards"), ("a b", "it has a blank"),
            ("a\u{A0}b", "it has a blank"),
            ("a\u{1}b", "it has a control character"), ("a\u{7F}", "it has a control character"),
            ("a\u{9B}", "it has a control character"), ("a\u{FFFD}", "it is not UTF-8"),
        ])
    func bad(name: String, reason: String) {
        do throws(TopicError) {
            _ = try TopicName(name)
            Issue.record("\(name) was taken")
        } catch {
            guard case .badTopic(let text) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(text.hasSuffix("' is no name of a topic: \(reason)"))
        }
    }

    @Test("Two spellings of one letter are two names")
    func spellings() throws {
        #expect(try TopicName("\u{E9}") != TopicName("e\u{301}"))
    }
}
