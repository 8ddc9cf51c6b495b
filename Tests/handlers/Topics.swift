import LifelineServer

/// What a request that begins with `topic` asks for, and its answer.
func answer(toTopicRequest words: [String], on connection: Connection) throws(Failure) -> Response {
    let text = words.dropFirst(2).joined(separator: " ")
    do throws(TopicError) {
        switch words.first {
        case "subscribe": try connection.subscribe(words[1])
        case "unsubscribe": try connection.unsubscribe(words[1])
        case "publish": return Response("\(try connection.publish(text, to: words[1]))")
        case "publish-self": return Response("\(try connection.publish(text, to: words[1], includingSelf: true))")
        case "try": try connection.tryPublish(Array(text.utf8), to: words[1])
        case "many":
            // So many numbered messages as fast as it goes.
            for index in 0..<(Int(words[2]) ?? 0) { try connection.publish("\(index)", to: words[1]) }
        case "send": return Response("\(try connection.send(text, to: recipient(words[1])))")
        case "online": return Response("\(try connection.isOnline(recipient(words[1])))")
        case "disconnect": return Response("\(try connection.disconnect(recipient(words[1]), text))")
        case "members":
            let members = try connection.members(of: words[1])
            return Response(members.map { "\($0.connection)=\($0.name ?? "-")" }.joined(separator: " "))
        default: throw .unavailable("the test does not know \(words)")
        }
    } catch {
        throw Failure(.handlerFailed, "\(error)")
    }
    return Response("ok")
}

private func recipient(_ word: String) -> Recipient {
    if word == "all" { return .all }
    if let id = UInt64(word) { return .connection(id) }
    return word.hasPrefix("token:") ? .token(String(word.dropFirst("token:".count))) : .name(word)
}

/// Looks at what is published first: capital letters for all but what begins with a minus, which the client does not get.
struct Seeing: Handler {
    static let seesPublications = true
    static let mayBeReused = true
    static let mayShare = true
    private var handler: Obedient

    init(_ handler: Obedient) { self.handler = handler }

    var answersAtOnce: Bool { handler.answersAtOnce }
    mutating func opened(_ connection: Connection) { handler.opened(connection) }
    mutating func respond(to request: Request) throws(Failure) -> Response { try handler.respond(to: request) }
    mutating func missed(_ gap: MessageGap) { handler.missed(gap) }
    mutating func closed(_ reason: CloseReason) { handler.closed(reason) }

    mutating func received(_ publication: Publication) -> ArraySlice<UInt8>? {
        guard publication.bytes.first != UInt8(ascii: "-") else { return nil }
        return Array("\(publication.topic ?? "none"): \(publication.text.uppercased())".utf8)[...]
    }
}
