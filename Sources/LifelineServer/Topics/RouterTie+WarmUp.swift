import Posix

extension RouterTie {
    /// A conversation with a router, before the first fork: what the runtime makes for it is there in each child then.
    ///
    /// Without it a connection that subscribes at K = 1 takes 24 KiB in place of 8.
    static func warmUp(_ terms: RouterTerms) throws(SystemError) {
        let lobby = try RouterLobby(in: ParentDescriptors())
        let tie = RouterTie(lobby.entrance, terms) {}
        tie.attach(at: .now)
        tie.register(Member(connection: 1, name: "warm", tokenName: "up", peer: "unix"), place: 0)
        let topic = TopicName(checked: [0])
        try? tie.subscribe(1, to: topic)
        let exit = try lobby.exitForRouter()
        var word: UInt8 = 0
        let taken = try withUnsafeMutableBytes(of: &word) { word throws(SystemError) in try exit.take(into: word) }
        guard case .descriptor(let router) = consume taken else { return }
        let deliveries: [RouterDelivery] = [
            .publication(topic, from: 2, except: 0, [0]), .message(to: [1], from: 2, [0]), .gap(topic, 1),
            .reply(call: tie.beginWarmCall(), .done(1)), .broadcast(from: 2, [0]),
        ]
        _ = try router.send(deliveries.flatMap { $0.encoded() }[...])
        tie.resumed(isReadable: true, isWritable: true, at: .now)
        _ = tie.takeDeliveries(256)
        tie.unregister(1)
        tie.detach()
    }
}
