import Framing

/// What a process of connections says to the router, and what programs ask of it.
///
/// A call number other than 0 asks for a `reply`.
enum RouterCommand: Equatable, Sendable {
    /// A connection of the process can be reached from now on.
    case register(Member)
    /// A connection is over; its topics are too.
    case unregister(UInt64)
    case subscribe(call: UInt64, connection: UInt64, TopicName)
    case unsubscribe(call: UInt64, connection: UInt64, TopicName)
    /// A message to a topic. `includesSelf` is whether the publisher gets it too.
    case publish(call: UInt64, from: UInt64, TopicName, includesSelf: Bool, ArraySlice<UInt8>)
    /// A message to some connections. Where they are all, the sender does not get it.
    case send(call: UInt64, from: UInt64, Recipient, ArraySlice<UInt8>)
    /// A request to the client of a connection: of several, to the one that came last. `timeout` is in milliseconds.
    case request(call: UInt64, Recipient, timeout: UInt32, ArraySlice<UInt8>)
    /// The asker of the request with this call number does not wait any more.
    case giveUp(call: UInt64)
    /// Asks who has subscribed to a topic, or, without one, for every connection.
    case members(call: UInt64, TopicName?)
    /// Asks how many connections there are.
    case count(call: UInt64, Recipient)
    /// Asks which topics have subscribers.
    case topics(call: UInt64)
    /// Ends connections with CLOSE(KICKED), and this text.
    case disconnect(call: UInt64, Recipient, String)
    /// Subscribes other connections to a topic, or ends that.
    case enroll(call: UInt64, Recipient, TopicName, isOn: Bool)
    /// What became of an `ask`.
    case answered(ask: UInt64, RelayedOutcome)
}

/// What the router says to a process of connections.
enum RouterDelivery: Equatable, Sendable {
    /// A message for each subscriber of the topic but the connection `except`; 0 is none.
    case publication(TopicName, from: UInt64, except: UInt64, ArraySlice<UInt8>)
    /// A message for these connections.
    case message(to: [UInt64], from: UInt64, ArraySlice<UInt8>)
    /// A message for every connection but the one it is from.
    case broadcast(from: UInt64, ArraySlice<UInt8>)
    /// So many messages of a topic, or of no topic, did not fit into the router's queue for this process.
    case gap(TopicName?, UInt64)
    /// Asks the client of a connection; `answered` follows. `timeout` is in milliseconds.
    case ask(UInt64, connection: UInt64, timeout: UInt32, ArraySlice<UInt8>)
    /// The answer to an `ask` is not wanted any more.
    case giveUp(ask: UInt64, connection: UInt64)
    /// Ends these connections.
    case end([UInt64], String)
    /// These connections have subscribed to a topic, or ended that: the process takes note of it. One that cannot have the topic
    /// ends the subscription.
    case enroll([UInt64], TopicName, isOn: Bool)
    case reply(call: UInt64, RouterReply)
}

/// The router's answer to a call.
enum RouterReply: Equatable, Sendable {
    /// It is done, for so many connections.
    case done(UInt64)
    case members([Member])
    /// Each topic, and how many have subscribed to it.
    case topics([TopicCount])
    case outcome(RelayedOutcome)
    /// It cannot be done now.
    case unavailable(String)
}

/// A topic, and how many connections have subscribed to it.
struct TopicCount: Equatable, Sendable {
    let topic: TopicName
    let subscribers: UInt64
}

/// What became of a request that one process has asked a client of another.
enum RelayedOutcome: Equatable, Sendable {
    case answer(ArraySlice<UInt8>)
    case failed(Failure)
    /// NOT_SENT, with the reason.
    case notSent(String)
    /// REFUSED.
    case refused(String)
    /// UNKNOWN.
    case unknown(String)
}
