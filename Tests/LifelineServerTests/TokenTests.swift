import Basics
import Framing
import Testing

@testable import LifelineServer

@Suite("4.12-8, 11-1 Tokens")
struct TokenTests {
    private func tokens(_ string: String) throws(TextFileError) -> Tokens { try Tokens(parsing: text(string)) }

    @Test("A line is a token, or a token and a name; empty lines and comments say nothing")
    func lines() throws {
        let tokens = try tokens("# who may\n\nabc alice\r\n  \t def\tbob \n#off eve\nghi\nj#k carol")
        #expect(tokens.count == 4)
        #expect(try tokens.name(of: text("abc")) == "alice")
        #expect(try tokens.name(of: text("def")) == "bob")
        #expect(try tokens.name(of: text("ghi")) == nil)
        #expect(try tokens.name(of: text("j#k")) == "carol")
        for wrong in ["#off", "eve", "alice", "#", ""] {
            #expect(throws: Violation(.unauthorized, "this TOKEN is not accepted")) {
                try tokens.name(of: text(wrong))
            }
        }
    }

    @Test("Each of many tokens is found, and nothing that is nearly one")
    func nearly() throws {
        let all = (1...257).map { String(repeating: "x", count: $0 % 256) + "y" }
        let tokens = try tokens(all.prefix(256).enumerated().map { "\($1) n\($0)" }.joined(separator: "\n"))
        for (index, token) in all.prefix(256).enumerated() {
            #expect(try tokens.name(of: text(token)) == "n\(index)")
            for position in [0, token.utf8.count / 2, token.utf8.count - 1] {
                for bit in [UInt8(1), 0x80] {
                    var other = text(token)
                    other[position] ^= bit
                    #expect(throws: Violation.self) { try tokens.name(of: other) }
                }
            }
            #expect(throws: Violation.self) { try tokens.name(of: text(String(token.dropLast()))) }
            if token.utf8.count < 256 { #expect(throws: Violation.self) { try tokens.name(of: text(token) + [0]) } }
        }
    }

    @Test(
        "What is no token file is told with its line, and never with what stands there",
        arguments: [
            ("a b\nsecret b c", 2, "3 words"), ("secret b\n\n# c\nsecret d", 4, "line 1"),
            (String(repeating: "s", count: 257), 1, "257 bytes"),
            ("a " + String(repeating: "n", count: 65), 1, "64 bytes"),
            ("", nil, "no token"), ("# a\n\n", nil, "no token"),
        ] as [(String, Int?, String)])
    func mistakes(_ contents: String, _ line: Int?, _ part: String) {
        let mistake = #expect(throws: TextFileError.self) { try tokens(contents) }
        #expect(mistake?.line == line)
        #expect(mistake?.text.contains(part) == true && mistake?.text.contains("secret") == false)
        #expect(mistake?.description.hasPrefix(line.map { "line \($0): " } ?? "there") == true)
    }

    @Test("A name must be UTF-8; a token need not be")
    func bytes() throws {
        #expect(throws: TextFileError.self) { try Tokens(parsing: [0x61, 0x20, 0xFF]) }
        #expect(try Tokens(parsing: [0xFF, 0x20, 0x61]).name(of: [0xFF]) == "a")
    }

    // MARK: The handshake

    @Test("A TOKEN of the list gets WELCOME, and its name is known when the handler is told")
    func welcome() throws {
        var conversation = Conversation(tokens: try tokens("abc alice\ndef"))
        conversation.receive(hello(token: text("abc")), request(1, "a"))
        #expect(conversation.said() == ["LIFELINE", "WELCOME", "RESPONSE 1 a"])
        #expect(conversation.connection.tokenName == "alice")
        var nameless = Conversation(tokens: try tokens("abc alice\ndef"))
        nameless.receive(hello(token: text("def")))
        #expect(nameless.said() == ["LIFELINE", "WELCOME"] && nameless.connection.tokenName == nil)
    }

    @Test(
        "No TOKEN, an empty one or another one gets CLOSE(UNAUTHORIZED) in place of WELCOME, and no request is heard",
        arguments: [nil, [], text("ab"), text("abcd"), text("alice")] as [[UInt8]?])
    func refused(_ token: [UInt8]?) throws {
        for short in [true, false] {
            var conversation = Conversation(tokens: try tokens("abc alice"))
            conversation.receive(hello(short: short, token: token), request(1, "a"))
            #expect(conversation.said() == ["LIFELINE", "CLOSE UNAUTHORIZED last 0"])
            #expect(conversation.seen == [])
            guard case .closed(.unauthorized, let said, by: .server) = conversation.connection.closeReason else {
                Issue.record("\(conversation.connection.closeReason)")
                return
            }
            #expect(said.contains(token == nil ? "HELLO has none" : "not accepted"))
        }
    }

    @Test("Where no TOKEN is asked for, any is taken, and names nobody")
    func notAsked() {
        for token in [nil, [], text("abc")] as [[UInt8]?] {
            var conversation = Conversation()
            conversation.receive(hello(token: token))
            #expect(conversation.said() == ["LIFELINE", "WELCOME"] && conversation.connection.tokenName == nil)
        }
    }
}
