import Basics
import Testing

@testable import LifelineServer

private func read(_ text: String) throws(PushCommandError) -> PushCommand { try PushCommand(Array(text.utf8)[...]) }

@Suite("What back-ends say on the publish socket")
struct PushCommandTests {
    private static let commands: [PushCommand] = [
        .publish(topic: "room/7", [0, 255, 10, 32]), .publish(topic: "ä", []), .send(.all, [1]),
        .send(.connection(.max), [32, 10]), .send(.name("till 7\n%20\u{A0}ä"), []), .send(.token("a:b"), [0xFF]),
        .request(.name("x"), timeout: .milliseconds(1500), [10]),
        .request(.connection(7), timeout: PushCommand.longestTimeout, Array("timeout=5 x".utf8)[...]),
        .enroll(.token("t"), topic: "a", isOn: true), .enroll(.all, topic: "a", isOn: false),
        .members(topic: "room/7"), .topics, .online(.name("%")), .disconnect(.name("a"), ""),
        .disconnect(.all, "good bye\nall"),
    ]

    @Test("What is written is read again", arguments: commands)
    func roundTrip(_ command: PushCommand) throws {
        #expect(try PushCommand(command.bytes[...]) == command)
        // Where it is a part of something longer, indices do not begin at 0.
        #expect(try PushCommand(([9, 9, 9] + command.bytes)[3...]) == command)
    }

    @Test("The payload begins behind one separator, and stays as it is")
    func payloads() throws {
        #expect(try read("publish t") == .publish(topic: "t", []))
        #expect(try read("publish t ") == .publish(topic: "t", []))
        #expect(try read("publish t\n") == .publish(topic: "t", []))
        #expect(try read("publish t  a ") == .publish(topic: "t", Array(" a ".utf8)[...]))
        #expect(try read("publish t\n\na b\n") == .publish(topic: "t", Array("\na b\n".utf8)[...]))
        #expect(try read("send all") == .send(.all, []))
    }

    @Test("A request has ten seconds, unless it says how many, before the recipient")
    func timeouts() throws {
        #expect(try read("request name:x y") == .request(.name("x"), timeout: .seconds(10), [0x79]))
        for (text, timeout) in [
            ("5", 5000), ("5s", 5000), ("250ms", 250), ("2m", 120_000), ("1h", 3_600_000), ("24h", 86_400_000),
        ] as [(String, Int)] {
            let expected = PushCommand.request(.name("x"), timeout: .milliseconds(timeout), [])
            #expect(try read("request timeout=\(text) name:x") == expected)
        }
        // What stands behind the recipient is payload, whatever it looks like.
        let payload = Array("timeout=5 y".utf8)[...]
        #expect(try read("request name:x timeout=5 y") == .request(.name("x"), timeout: .seconds(10), payload))
    }

    @Test("A command without a payload may end with a newline")
    func lineEnds() throws {
        #expect(try read("topics\n") == .topics)
        #expect(try read("members a\n") == .members(topic: "a"))
        #expect(try read("online all\n") == .online(.all))
        #expect(try read("subscribe all a\n") == .enroll(.all, topic: "a", isOn: true))
    }

    @Test(
        "What is no command says what was wrong and what is expected",
        arguments: [
            ("", "'' is no command: expected publish,"), ("quark 1", "'quark' is no command"),
            (" publish t", "'' is no command"), ("publish", "the topic is missing: expected 'publish TOPIC [BYTES]'"),
            ("publish ", "the topic is missing"), ("publish  x", "it is empty"), ("publish $x", "kept for the server"),
            ("publish a*", "no wildcards"), ("publish a\u{A0}b", "it has a blank"),
            ("send", "the recipient is missing: expected 'send RECIPIENT [BYTES]'"),
            ("send  x", "the recipient is missing"), ("send bob x", "'bob' is no recipient: expected connection:ID"),
            ("send name", "'name' is no recipient"), ("send name: x", "the recipient's name is empty"),
            ("send name:a%2 x", "a % without two hexadecimal digits"), ("send name:a% x", "a % without two"),
            ("send name:a%zz x", "a % without two"), ("send name:%ff x", "is not UTF-8"),
            ("send connection:0 x", "'0' is not the number of a connection"), ("send connection: x", "'' is not the"),
            ("send connection:+7 x", "'+7' is not the number"), ("send connection:18446744073709551616", "is not the"),
            ("request all x", "request asks one client"), ("request timeout=5", "the recipient is missing"),
            ("request timeout=0 name:x", "not between 1ms and 24h"),
            ("request timeout= name:x", "'' is not a duration"),
            ("request timeout=25h name:x", "not between"), ("request timeout=1.5 name:x", "is not a duration"),
            ("request timeout=99999999999 name:x", "is not a duration"), ("subscribe name:x", "the topic is missing"),
            ("subscribe name:x a b", "'b' is too much: expected 'subscribe RECIPIENT TOPIC' alone"),
            ("members", "the topic is missing"), ("members a b", "'b' is too much"),
            ("topics all", "'all' is too much"),
            ("online all x", "'x' is too much"), ("disconnect", "the recipient is missing"),
        ])
    func mistakes(_ text: String, _ expected: String) throws {
        let mistake = try #require(throws: PushCommandError.self) { _ = try read(text) }
        #expect(mistake.description.contains(expected), "\(mistake)")
    }

    @Test("A mistake is printable and short, whatever came")
    func garbage() throws {
        let bytes: [[UInt8]] = [
            [0xFF, 0xFE], Array("publish ".utf8) + [0xFF], Array("send name:".utf8) + [0xC3],
            Array("disconnect all ".utf8) + [0xFF], Array("\u{1B}[2J".utf8), [UInt8](repeating: 0x61, count: 100_000),
            Array("topics ".utf8) + [UInt8](repeating: 0x1B, count: 1000),
        ]
        for request in bytes {
            let mistake = try #require(throws: PushCommandError.self) { _ = try PushCommand(request[...]) }
            #expect(mistake.description.unicodeScalars.allSatisfy { $0.isASCII && $0.value >= 0x20 })
            #expect(mistake.description.utf8.count <= 300)
        }
    }

    @Test("Names are encoded so that they are one word")
    func names() {
        #expect(Recipient.name("till 7").word == "name:till%207")
        #expect(Recipient.name("100%\n").word == "name:100%25%0a")
        #expect(Recipient.token("\u{A0}ä").word == "token:%c2%a0ä")
        #expect(Recipient.connection(7).word == "connection:7" && Recipient.all.word == "all")
    }
}
