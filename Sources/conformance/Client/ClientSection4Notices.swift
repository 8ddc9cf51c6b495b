import RawWire

extension Case<ClientBench> {
    /// Sections 4.3 to 4.11 but what belongs to heartbeats and the end.
    static let section4Notices: [Case] =
        [
            Case("4.3", "4.3-1", "No nonce is used twice") { bench in
                let (peer, _, _) = try bench.openIdle(welcome: bench.welcome(pingEvery: 20))
                var nonces: Set<UInt64> = []
                for _ in 0..<10 {
                    let ping = try bench.wait(for: .ping, on: peer, within: .seconds(2))
                    bench.expect(nonces.insert(ping.nonce ?? 0).inserted, "a new nonce", got: "\(ping)")
                    try bench.send(.pong(to: ping), on: peer)
                }
            },
            Case("4.9", "4.9-1", "A FAILURE whose zero is not 0 is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.failure(id, .handlerFailed).with { $0.payload[3] = 1 }, on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("4.9", "4.9-1", "A GOAWAY whose zero is not 0 is a PROTOCOL_ERROR") { bench in
                try bench.expectDrop(for: RawFrame.goAway().with { $0.payload[2] = 1 }.bytes)
            },
            Case("4.9", "4.9-1", "A CLOSE whose zero is not 0 is a PROTOCOL_ERROR") { bench in
                try bench.expectDrop(for: RawFrame.close().with { $0.payload[7] = 1 }.bytes)
            },
            Case("4.9", "4.9-2", "FAILURE between the chunks of the response is the ending") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.response(id, [1], more: true), .failure(id, .handlerFailed, "no"), on: peer)
                try bench.send(.message([1]), on: peer)
                try bench.expectAlive(on: peer, "FAILURE ended the response that was begun")
            },
            Case("4.9", "4.9-2", "A chunk of the response behind FAILURE is a PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(
                    .response(id, [1], more: true), .failure(id, .handlerFailed), .response(id, [2]), on: peer)
                try bench.expectDrop(of: peer, .protocolError)
            },
            Case("4.9", "4.9-3", "FAILURE(NORMAL) is an ending, and the connection goes on") { bench in
                try bench.expectFailed(.normal)
            },
            Case("4.9", "4.9-4", "FAILURE with a text of 512 bytes is an ending") { bench in
                try bench.expectFailed(.internalError, String(repeating: "x", count: 512))
            },
            Case("4.9", "4.9-4", "GOAWAY with a code that is not defined is a GOAWAY") { bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.send(.goAway(RawCode(number: 4711), String(repeating: "x", count: 512)), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("4.11", "4.11-3", "A last_id above every id that was sent is answered with PROTOCOL_ERROR") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.close(lastID: id + 1), on: peer)
                try bench.expectAnsweredClose(of: peer, .protocolError)
            },
            Case("4.11", "4.11-3", "A last_id above the only request, which is answered, is a PROTOCOL_ERROR") {
                bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.send(.close(lastID: .max), on: peer)
                try bench.expectAnsweredClose(of: peer, .protocolError)
            },
            Case("4.11", "4.11-3", "A last_id of exactly the highest id is no fault") { bench in
                let (peer, _, id) = try bench.openBusy()
                try bench.send(.close(lastID: id), on: peer)
                try bench.expectAnsweredClose(of: peer)
            },
            Case("4.11", "4.11-4", "last_id in a client's CLOSE is 0, also after many requests") { bench in
                var (peer, _, id) = try bench.openIdle()
                for index in 0..<4 {
                    try bench.ask("line \(index)")
                    id = try bench.takeRequest(on: peer).id
                    try bench.send(.response(id, [1]), on: peer)
                }
                bench.closeInput()
                let close = try bench.expectClose(of: peer, .normal)
                bench.expect(close?.lastID == 0, "last_id 0 after request \(id)", got: "\(close?.lastID ?? 0)")
            },
            Case("4.11", "4.11-4", "last_id is 0 in the CLOSE of a drop too") { bench in
                let (peer, _, _) = try bench.openIdle()
                try bench.send(RawFrame.ping(1).with { $0.reserved = 1 }, on: peer)
                let close = try bench.expectDrop(of: peer, .protocolError)
                bench.expect(close?.lastID == 0, "last_id 0", got: "\(close?.lastID ?? 0)")
            },
        ]
        + [21, 4711, 65535].map { (number: UInt16) in
            Case("4.9", "4.9-4", "FAILURE with the code \(number), which is not defined, is an ending") { bench in
                try bench.expectFailed(RawCode(number: number))
            }
        }
        + [21, 4711, 65535].map { (number: UInt16) in
            Case("4.9", "4.9-4", "CLOSE with the code \(number), which is not defined, is a CLOSE") { bench in
                let (peer, _, id) = try bench.openIdle()
                try bench.send(.close(RawCode(number: number), lastID: id, "who knows"), on: peer)
                try bench.expectAnsweredClose(of: peer)
            }
        }
        + [
            Case("4.8", "4.8-1", "CANCEL has the id of the request that it ends") { bench in
                let (_, id, ending) = try bench.endingOfFailed()
                guard ending.type == .cancel else { throw Skip("the client sends the rest of the request (3.6-11)") }
                bench.expect(ending.id == id, "CANCEL \(id)", got: "\(ending)")
            },
            Case("4.8", "4.8-4", "After CANCEL of a request no chunk of it comes, and the next request is served") {
                bench in
                let (peer, id, ending) = try bench.endingOfFailed()
                guard ending.type == .cancel else { throw Skip("the client sends the rest of the request (3.6-11)") }
                try bench.ask("alive")
                var frame = try bench.next(on: peer)
                while frame.type == .pong { frame = try bench.next(on: peer) }
                bench.expect(frame.id > id && frame.text == "alive", "the next request", got: "\(frame)")
            },
        ]
}

extension ClientBench {
    /// FAILURE with the code ends the request, and nothing else.
    fileprivate func expectFailed(_ code: RawCode, _ text: String = "why") throws {
        let (peer, _, id) = try openBusy()
        try send(.failure(id, code, text), .ping(9), on: peer)
        var frame = try next(on: peer)
        while frame.type == .request { frame = try next(on: peer) }
        expect(frame == .pong(9), "PONG 9, because the connection goes on", got: "\(frame)")
    }
}
