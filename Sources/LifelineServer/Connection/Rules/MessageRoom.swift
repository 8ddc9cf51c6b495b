import Framing

/// How far a handler may go with its messages now.
struct MessageRoom: Equatable, Sendable {
    /// What becomes of a message.
    enum Verdict {
        /// It may go now.
        case goes
        /// It may go once there is room.
        case waits
        /// It is too long, or the connection carries no message any more.
        case never
    }

    /// The longest message that the client takes; nil where none can be sent, now or later.
    var longest: Int?
    /// What messages may cost together. One may go while this is above 0, whatever its length.
    var cost: Int
    /// How many messages the client has handled; nil where it does not say.
    var confirmed: UInt64?

    /// No message can be sent.
    static let none = MessageRoom(longest: nil, cost: 0, confirmed: nil)

    /// What becomes of a message of `length` bytes.
    func verdict(of length: Int) -> Verdict {
        guard let longest, length <= longest else { return .never }
        return cost > 0 ? .goes : .waits
    }

    /// A message of `length` bytes goes.
    mutating func use(_ length: Int) { cost -= Credit.cost(of: length) }
}
