import Arguments
import Framing
import Testing

@testable import LifelineServer
@testable import server

@Suite("What ctl has of topics")
struct PushVerbTests {
    /// What the words behind `server ctl` make, with this standard input.
    private func command(_ words: [String], input: String = "input\n") throws -> PushCommand {
        var ctl = Ctl()
        _ = try Ctl.command.parse(words, into: &ctl)
        let verb = try #require(PushVerb(rawValue: ctl.words[0]))
        return try ctl.target.command(verb, Array(ctl.words.dropFirst()), name: ctl.name) { Array(input.utf8) }
    }

    @Test("Words and flags make a command; without TEXT it is standard input")
    func commands() throws {
        let input = Array("input\n".utf8)[...]
        #expect(try command(["publish", "room", "two words"]) == .publish(topic: "room", Array("two words".utf8)[...]))
        #expect(try command(["publish", "room"]) == .publish(topic: "room", input))
        #expect(try command(["publish", "room", ""]) == .publish(topic: "room", []))
        #expect(try command(["send", "--name", "till 7"]) == .send(.name("till 7"), input))
        #expect(try command(["--all", "send", "x"]) == .send(.all, Array("x".utf8)[...]))
        #expect(
            try command(["request", "--connection", "7", "--for", "1500ms", "x"])
                == .request(.connection(7), timeout: .milliseconds(1500), Array("x".utf8)[...]))
        #expect(try command(["request", "--token", "t"]) == .request(.token("t"), timeout: .seconds(10), input))
        #expect(try command(["subscribe", "--name", "n", "room"]) == .enroll(.name("n"), topic: "room", isOn: true))
        #expect(try command(["unsubscribe", "--all", "room"]) == .enroll(.all, topic: "room", isOn: false))
        #expect(try command(["members", "room"]) == .members(topic: "room"))
        #expect(try command(["topics"]) == .topics)
        #expect(try command(["online", "--token", "t"]) == .online(.token("t")))
        #expect(try command(["disconnect", "--name", "n"]) == .disconnect(.name("n"), ""))
        #expect(try command(["disconnect", "--name", "n", "bye"]) == .disconnect(.name("n"), "bye"))
    }

    @Test(
        "What is typed wrongly says what is expected",
        arguments: [
            (["publish"], "server ctl publish TOPIC [TEXT]"), (["publish", "a", "b", "c"], "stands in quotes"),
            (["publish", "--all", "a", "b"], "--all does not go with publish"),
            (["publish", "a*", "b"], "no wildcards"),
            (["members", "--name", "n", "a"], "--name does not go with members"),
            (["topics", "x"], "server ctl topics"),
            (["send", "x"], "--name, --connection, --token or --all"),
            (["send", "--all", "--name", "n", "x"], "give one of them"),
            (["send", "--name", "", "x"], "nobody's name"),
            (["request", "--all", "x"], "--name, --connection or --token"),
            (["send", "--all", "--for", "1", "x"], "--for goes with request alone"),
            (["subscribe", "--all"], "server ctl subscribe TOPIC"), (["online"], "give one of them"),
        ])
    func mistakes(_ words: [String], _ expected: String) throws {
        let error = try #require(throws: UsageError.self) { _ = try command(words) }
        #expect(error.description.contains(expected), "\(error)")
    }

    @Test("--name is a part of the name where connections are listed")
    func name() throws {
        var ctl = Ctl()
        _ = try Ctl.command.parse(["connections", "--name", "till"], into: &ctl)
        func row(_ name: String) -> JSONObject {
            var row = JSONObject()
            row.add("name", name)
            return row
        }
        let reply = ControlReply(rows: [row("till 7"), row("other")], verdict: row(""))
        #expect(ctl.rows(reply).map { $0.text("name") } == ["till 7"])
    }

    @Test("Every verb is in the help, and in the table")
    func table() {
        for verb in PushVerb.allCases { #expect(Ctl.command.help.contains("\n  \(verb.rawValue)")) }
        #expect(PushVerb.verbs.count == PushVerb.allCases.count)
    }

    private func lines(_ verb: PushVerb, _ answer: String, isJSON: Bool = false) throws -> [String] {
        try PushOutput(verb: verb, isJSON: isJSON).lines(Array(answer.utf8))
    }

    @Test("Answers are said as a person says them, and as JSON")
    func output() throws {
        #expect(try lines(.publish, "12") == ["reached 12 connections"])
        #expect(try lines(.send, "1") == ["reached 1 connection"])
        #expect(try lines(.subscribe, "0") == ["subscribed 0 connections"])
        #expect(try lines(.unsubscribe, "2") == ["unsubscribed 2 connections"])
        #expect(try lines(.online, "3") == ["3 connections"])
        #expect(try lines(.disconnect, "3") == ["ended 3 connections"])
        #expect(try lines(.publish, "12", isJSON: true) == ["{\"connections\":12}"])
        #expect(try lines(.request, "a\u{1B}[2J\nb") == ["a\\u{1b}[2J", "b"])
        #expect(try lines(.request, "a\n\"b", isJSON: true) == ["{\"answer\":\"a\\u000a\\\"b\"}"])
        #expect(throws: ControlError.self) { try lines(.publish, "many") }
        #expect(throws: ControlError.self) { try lines(.topics, "room 7") }
    }

    @Test("Rows stand in columns, and are lines of JSON for programs")
    func rows() throws {
        let members = [
            Member(connection: 7, name: "till 7", tokenName: nil, peer: "127.0.0.1:5"),
            Member(connection: 12, name: nil, tokenName: "alice", peer: "unix"),
        ]
        let answer = members.map { PushHandler.row($0).line + "\n" }.joined()
        #expect(
            answer == "{\"connection\":7,\"name\":\"till 7\",\"peer\":\"127.0.0.1:5\"}\n"
                + "{\"connection\":12,\"token\":\"alice\",\"peer\":\"unix\"}\n")
        #expect(
            try lines(.members, answer) == [
                "CONNECTION  NAME    TOKEN  PEER", "7           till 7  -      127.0.0.1:5",
                "12          -       alice  unix",
            ])
        #expect(try lines(.members, answer, isJSON: true) == answer.split(separator: "\n").map(String.init))
        let topics = PushHandler.row(TopicCount(topic: try TopicName("room/7"), subscribers: 12)).line
        #expect(topics == "{\"topic\":\"room/7\",\"subscribers\":12}")
        #expect(try lines(.topics, topics + "\n") == ["TOPIC   SUBSCRIBERS", "room/7  12"])
        #expect(try lines(.topics, "") == ["TOPIC  SUBSCRIBERS"])
    }

    @Test(
        "A failure's status says whether another try may help",
        arguments: [
            (Code.handlerFailed, "BAD_COMMAND: 'x' is no command", 64, "'x' is no command"),
            (.handlerFailed, "NOT_SENT: nobody", 69, "NOT_SENT: nobody"),
            (.handlerFailed, "REFUSED: full", 69, "REFUSED: full"),
            (.handlerFailed, "UNKNOWN: late", 75, "UNKNOWN: late"), (.refused, "busy", 69, "busy"),
            (.handlerFailed, "no paper\u{1B}", 70, "FAILED: HANDLER_FAILED, no paper\\u{1b}"),
            (.internal, "", 70, "FAILED: INTERNAL"),
        ] as [(Code, String, Int32, String)])
    func failures(_ code: Code, _ text: String, _ status: Int32, _ said: String) {
        let error = PushOutput.error(code, text)
        #expect(error.status.rawValue == status && error.text == said)
    }

    @Test("Chat has topics by itself; a publish socket does not")
    func flags() throws {
        #expect(try ServerSettings.read(["--handler", "chat"]).options.topics)
        #expect(try !ServerSettings.read(["--handler", "echo"]).options.topics)
        #expect(try ServerSettings.read(["--handler", "chat", "--publish-socket", "p"]).options.publishSocket == "p")
        #expect(throws: Failed.self) { try ServerSettings.read(["--publish-socket", "p"]) }
    }

    @Test("A reload cannot bring chat to a server without topics")
    func reload() throws {
        var file: [UInt8] = []
        let running = try ServerSettings.read([])
        let error = try #require(throws: ReloadError.self) {
            _ = try ServerSettings.readAgain(["--handler", "chat"], in: nil, running: running, &file)
        }
        #expect(error.description.contains("--handler chat needs topics"))
        let withTopics = try ServerSettings.read(["--topics"])
        #expect(throws: Never.self) {
            _ = try ServerSettings.readAgain(["--topics", "--handler", "chat"], in: nil, running: withTopics, &file)
        }
    }
}
