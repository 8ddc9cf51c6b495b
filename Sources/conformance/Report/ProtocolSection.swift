/// A section of Protocol.md that requirements are numbered by.
struct ProtocolSection: Hashable, Comparable {
    /// `5.4`.
    let number: String

    /// The section of a requirement such as `5.4-2`.
    init(of requirement: String) { number = String(requirement.prefix { $0 != "-" }) }

    /// Its heading in Protocol.md; empty where there is none.
    var title: String { ProtocolSection.titles[number] ?? "" }

    static func < (left: ProtocolSection, right: ProtocolSection) -> Bool { natural(left.number, right.number) }

    static let titles: [String: String] = [
        "2.3": "States",
        "3.1": "Integers and times", "3.2": "Preface", "3.3": "Frame header", "3.4": "Flags",
        "3.5": "Messages in chunks", "3.6": "Request ids", "3.7": "Requests from the server",
        "3.8": "Credit for messages",
        "4.1": "HELLO", "4.2": "WELCOME", "4.3": "PING", "4.4": "PONG", "4.5": "REQUEST", "4.6": "RESPONSE",
        "4.7": "MESSAGE", "4.8": "CANCEL", "4.9": "FAILURE", "4.10": "GOAWAY", "4.11": "CLOSE", "4.12": "Options",
        "4.13": "CREDIT",
        "5.1": "What alive means", "5.2": "The client's PINGs", "5.3": "The server's PINGs", "5.4": "PONG",
        "5.5": "Silence", "5.6": "Round trip", "5.7": "Frame timeout", "5.8": "Handshake timeout",
        "5.9": "Slow reader", "5.10": "Ping bucket", "5.11": "Clocks and own lateness", "5.12": "Send window",
        "5.13": "Choosing dead_after",
        "6": "Negotiation",
        "7.1": "The CLOSE exchange", "7.2": "End of stream", "7.3": "SHORT", "7.4": "GOAWAY and drain", "7.5": "Drops",
        "7.6": "Refusals", "7.7": "Outcomes, and coming back",
        "8": "Error codes", "9": "Handling the unexpected", "11": "Security considerations",
        "12": "Behind a proxy",
    ]
}

/// Whether `left` comes before `right` where numbers in them count as numbers: 5.9 before 5.10, and 5.4/9 before 5.4/10.
func natural(_ left: String, _ right: String) -> Bool {
    func parts(_ text: String) -> [Int] { text.split { !$0.isNumber }.map { Int($0) ?? 0 } }
    let (lefts, rights) = (parts(left), parts(right))
    return lefts == rights ? left < right : lefts.lexicographicallyPrecedes(rights)
}
