import Basics
import Framing

/// What a back-end asks of the server: one request on the publish socket.
///
/// A request is words with one space between them. Then comes one more space or a newline, and all behind that is the
/// payload as it is, bytes of any value. Where nothing comes behind the words the payload is empty.
///
/// | request | answer |
/// |---|---|
/// | `publish TOPIC [BYTES]` | how many connections it is on its way to |
/// | `send RECIPIENT [BYTES]` | the same |
/// | `request [timeout=DURATION] RECIPIENT [BYTES]` | the client's answer |
/// | `subscribe RECIPIENT TOPIC`, `unsubscribe RECIPIENT TOPIC` | how many connections it was done for |
/// | `members TOPIC` | a line of JSON for each connection |
/// | `topics` | a line of JSON for each topic |
/// | `online RECIPIENT` | how many connections there are |
/// | `disconnect RECIPIENT [TEXT]` | how many connections are ended |
///
/// RECIPIENT is `connection:ID`, `name:NAME`, `token:NAME` or `all`. In NAME, blanks, control characters and `%` are
/// written `%XX`. The options of `request` stand before the recipient, so that no payload is taken for one.
package enum PushCommand: Equatable, Sendable {
    case publish(topic: String, ArraySlice<UInt8>)
    case send(Recipient, ArraySlice<UInt8>)
    case request(Recipient, timeout: Duration, ArraySlice<UInt8>)
    case enroll(Recipient, topic: String, isOn: Bool)
    case members(topic: String)
    case topics
    case online(Recipient)
    case disconnect(Recipient, String)

    /// How long the client of `request` has for its answer, where the request does not say it.
    package static let defaultTimeout = Duration.seconds(10)
    /// The longest time that it may have.
    package static let longestTimeout = Duration.seconds(24 * 3600)

    /// Reads a request. Throws what is wrong with it, in a sentence.
    package init(_ request: ArraySlice<UInt8>) throws(PushCommandError) {
        var words = PushWords(request)
        let verb = words.next() ?? []
        switch String(decoding: verb, as: UTF8.self) {
        case "publish":
            let topic = try words.topic("publish TOPIC [BYTES]")
            self = .publish(topic: topic, words.payload())
        case "send":
            let recipient = try words.recipient("send RECIPIENT [BYTES]")
            self = .send(recipient, words.payload())
        case "request": self = try PushCommand.request(&words)
        case "subscribe", "unsubscribe":
            let isOn = verb.first == UInt8(ascii: "s")
            let form = "\(isOn ? "subscribe" : "unsubscribe") RECIPIENT TOPIC"
            let recipient = try words.recipient(form)
            self = .enroll(recipient, topic: try words.topic(form), isOn: isOn)
            try words.end(form)
        case "members":
            self = .members(topic: try words.topic("members TOPIC"))
            try words.end("members TOPIC")
        case "topics":
            self = .topics
            try words.end("topics")
        case "online":
            self = .online(try words.recipient("online RECIPIENT"))
            try words.end("online RECIPIENT")
        case "disconnect":
            let recipient = try words.recipient("disconnect RECIPIENT [TEXT]")
            guard let text = String(validating: words.payload(), as: UTF8.self) else {
                throw PushCommandError("the text of disconnect is not UTF-8")
            }
            self = .disconnect(recipient, text)
        default:
            throw PushCommandError(
                "'\(PushWords.shown(verb))' is no command: expected publish, send, request, subscribe, unsubscribe, "
                    + "members, topics, online or disconnect")
        }
    }

    private static func request(_ words: inout PushWords) throws(PushCommandError) -> PushCommand {
        let form = "request [timeout=DURATION] RECIPIENT [BYTES]"
        var timeout = defaultTimeout
        if let option = words.takeOption("timeout=") { timeout = try PushWords.duration(option) }
        let recipient = try words.recipient(form)
        guard recipient != .all else {
            throw PushCommandError("request asks one client: name it by connection:ID, name:NAME or token:NAME")
        }
        return .request(recipient, timeout: timeout, words.payload())
    }

    /// The request that asks for it.
    package var bytes: [UInt8] {
        switch self {
        case .publish(let topic, let payload): Array("publish \(topic) ".utf8) + payload
        case .send(let recipient, let payload): Array("send \(recipient.word) ".utf8) + payload
        case .request(let recipient, let timeout, let payload):
            Array("request timeout=\(Int64(timeout / .milliseconds(1)))ms \(recipient.word) ".utf8) + payload
        case .enroll(let recipient, let topic, let isOn):
            Array("\(isOn ? "subscribe" : "unsubscribe") \(recipient.word) \(topic)".utf8)
        case .members(let topic): Array("members \(topic)".utf8)
        case .topics: Array("topics".utf8)
        case .online(let recipient): Array("online \(recipient.word)".utf8)
        case .disconnect(let recipient, let text): Array("disconnect \(recipient.word) \(text)".utf8)
        }
    }

    /// Throws what is wrong with the name of a topic.
    package static func check(topic: String) throws(PushCommandError) {
        do throws(TopicError) { _ = try TopicName(topic) } catch { throw PushCommandError("\(error)") }
    }
}

/// Why a request of a back-end cannot be read.
package struct PushCommandError: Error, Equatable, CustomStringConvertible {
    /// What was wrong, and what is expected.
    package let description: String

    init(_ description: String) { self.description = description }
}

/// The words of a request, read one after another.
private struct PushWords {
    private static let space = UInt8(ascii: " ")
    private static let newline = UInt8(ascii: "\n")
    private static let shownBytes = 80

    private var rest: ArraySlice<UInt8>

    init(_ request: ArraySlice<UInt8>) { rest = request }

    static func shown(_ word: ArraySlice<UInt8>) -> String {
        Escaping.plain(String(decoding: word.prefix(shownBytes), as: UTF8.self), most: shownBytes)
    }

    /// The next word, and one separator behind it; nil where the request has ended.
    mutating func next() -> ArraySlice<UInt8>? {
        guard !rest.isEmpty else { return nil }
        let word = rest.prefix { $0 != PushWords.space && $0 != PushWords.newline }
        rest = rest[word.endIndex...].dropFirst()
        return word
    }

    /// The value of the next word where it begins with `name`.
    mutating func takeOption(_ name: String) -> ArraySlice<UInt8>? {
        guard rest.starts(with: name.utf8) else { return nil }
        return next()?.dropFirst(name.utf8.count)
    }

    mutating func payload() -> ArraySlice<UInt8> { rest }

    /// Throws where something follows other than the end of a line.
    func end(_ form: String) throws(PushCommandError) {
        guard rest.isEmpty || rest.elementsEqual([PushWords.newline]) else {
            throw PushCommandError("'\(PushWords.shown(rest))' is too much: expected '\(form)' alone")
        }
    }

    mutating func topic(_ form: String) throws(PushCommandError) -> String {
        guard let word = next() else { throw PushCommandError("the topic is missing: expected '\(form)'") }
        guard let topic = String(validating: word, as: UTF8.self) else {
            throw PushCommandError("'\(PushWords.shown(word))' is no name of a topic: it is not UTF-8")
        }
        try PushCommand.check(topic: topic)
        return topic
    }

    mutating func recipient(_ form: String) throws(PushCommandError) -> Recipient {
        guard let word = next(), !word.isEmpty else {
            throw PushCommandError("the recipient is missing: expected '\(form)'")
        }
        if word.elementsEqual("all".utf8) { return .all }
        let kind = word.prefix { $0 != UInt8(ascii: ":") }
        let value = word[kind.endIndex...].dropFirst()
        switch String(decoding: kind, as: UTF8.self) {
        case "connection" where kind.count < word.count:
            guard let text = String(validating: value, as: UTF8.self), text.utf8.first != UInt8(ascii: "+"),
                let id = UInt64(text), id > 0
            else { throw PushCommandError("'\(PushWords.shown(value))' is not the number of a connection") }
            return .connection(id)
        case "name" where kind.count < word.count: return .name(try PushWords.name(value))
        case "token" where kind.count < word.count: return .token(try PushWords.name(value))
        default:
            throw PushCommandError(
                "'\(PushWords.shown(word))' is no recipient: expected connection:ID, name:NAME, token:NAME or all")
        }
    }

    /// The name that is written as `encoded`, with `%XX` for a byte.
    private static func name(_ encoded: ArraySlice<UInt8>) throws(PushCommandError) -> String {
        var bytes: [UInt8] = []
        var rest = encoded
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let high = hex(rest.popFirst()!), let low = hex(rest.popFirst()!) else {
                throw PushCommandError("'\(shown(encoded))' has a % without two hexadecimal digits; % itself is %25")
            }
            bytes.append(high << 4 | low)
        }
        guard !bytes.isEmpty else { throw PushCommandError("the recipient's name is empty") }
        guard let name = String(validating: bytes, as: UTF8.self) else {
            throw PushCommandError("the recipient's name '\(shown(encoded))' is not UTF-8")
        }
        return name
    }

    private static func hex(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x41 + 10
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }

    /// `10`, `10s`, `500ms`, `2m` or `1h`.
    static func duration(_ word: ArraySlice<UInt8>) throws(PushCommandError) -> Duration {
        let digits = word.prefix { (0x30...0x39).contains($0) }
        let units: [String: Duration] = [
            "": .seconds(1), "ms": .milliseconds(1), "s": .seconds(1), "m": .seconds(60), "h": .seconds(3600),
        ]
        guard let number = UInt32(String(decoding: digits, as: UTF8.self)),
            let unit = units[String(decoding: word[digits.endIndex...], as: UTF8.self)]
        else {
            throw PushCommandError(
                "'\(shown(word))' is not a duration: expected whole numbers like 10, 500ms, 2m or 1h")
        }
        let duration = unit * Int(number)
        guard duration >= .milliseconds(1), duration <= PushCommand.longestTimeout else {
            throw PushCommandError("the timeout '\(shown(word))' is not between 1ms and 24h")
        }
        return duration
    }
}

extension Recipient {
    /// How a back-end writes it.
    var word: String {
        switch self {
        case .connection(let id): "connection:\(id)"
        case .name(let name): "name:\(Recipient.encoded(name))"
        case .token(let name): "token:\(Recipient.encoded(name))"
        case .all: "all"
        }
    }

    private static func encoded(_ name: String) -> String {
        var text = ""
        for scalar in name.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
            guard isControl || scalar == "%" || scalar.properties.isWhitespace else {
                text.unicodeScalars.append(scalar)
                continue
            }
            for byte in UTF8.encode(scalar)! { text += (byte < 0x10 ? "%0" : "%") + String(byte, radix: 16) }
        }
        return text
    }
}
