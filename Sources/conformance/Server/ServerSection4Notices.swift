import RawWire

/// Sections 4.8 to 4.11: CANCEL, FAILURE, GOAWAY, CLOSE.
extension Case<ServerBench> {
    static let cancels = numbered(
        "4.8",
        [
            .drop("4.8-1", "CANCEL where no request was sent", RawFrame.cancel(1).bytes),
            .drop("4.8-1", "CANCEL one above the highest id", RawFrame.cancel(6).bytes, after: [.request(5)]),
            .drop("4.8-1", "CANCEL of 4294967295 where none was sent", RawFrame.cancel(.max).bytes),
            .of("4.8-2", "CANCEL of an open request is answered with FAILURE(CANCELLED)") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "a", more: true), .cancel(1), on: peer)
                let failure = try bench.ending(of: 1, on: peer)
                bench.expect(failure.notice?.code == .cancelled, "FAILURE(CANCELLED)", got: "\(failure)")
                try bench.expectServed(2, on: peer)
            },
            .of("4.8-2", "FAILURE(CANCELLED) comes at once") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                var id: UInt32 = 0
                try bench.expectBetween("FAILURE", .zero, bench.times.latest(.zero, of: welcome.deadAfter)) {
                    id += 1
                    try bench.send(.request(id, "a", more: true), on: peer)
                    let start = try bench.sendTimed(RawFrame.cancel(id).bytes, on: peer)
                    let failure = try bench.ending(of: id, on: peer)
                    bench.expect(failure.notice?.code == .cancelled, "FAILURE(CANCELLED)", got: "\(failure)")
                    return start.age
                }
            },
            .of("4.8-2", "CANCEL right behind a whole request: one ending comes, its response or CANCELLED") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1), .cancel(1), on: peer)
                let ending = try bench.ending(of: 1, on: peer)
                bench.expect(
                    ending.text == "hello" || ending.notice?.code == .cancelled, "RESPONSE or CANCELLED",
                    got: "\(ending)")
                try bench.expectServed(2, on: peer, "one ending has come")
            },
            .accept(
                "4.8-3", "CANCEL of an id that was left out",
                RawFrame.request(5, "a", more: true).bytes
                    + RawFrame.cancel(3).bytes + RawFrame.request(5, "b").bytes, answering: 5),
            .of("4.8-3", "CANCEL of a request that was answered has no effect") { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(1, on: peer)
                try bench.send(.cancel(1), .cancel(1), on: peer)
                try bench.expectServed(2, on: peer)
            },
            .of("4.8-3", "A second CANCEL of the same request has no effect") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "a", more: true), .cancel(1), .cancel(1), on: peer)
                _ = try bench.ending(of: 1, on: peer)
                try bench.expectServed(2, on: peer)
            },
            .drop(
                "4.8-4", "Another chunk of a request that was cancelled", RawFrame.request(1, "b", more: true).bytes,
                after: [.request(1, "a", more: true), .cancel(1)]),
            .drop(
                "4.8-4", "The last chunk of a request that was cancelled", RawFrame.request(1, "").bytes,
                after: [.request(1, "a", more: true), .cancel(1)]),
            .of("4.8-4", "After CANCEL of an open request a MESSAGE may follow: the request is over") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.request(1, "a", more: true), .cancel(1), .message([1]), on: peer)
                _ = try bench.ending(of: 1, on: peer)
                try bench.expectServed(2, on: peer)
            },
        ])

    static let notices = numbered(
        "4.11",
        ([0, 1, 20, 21, 0xFFFF] as [UInt16]).flatMap { code -> [Case] in
            [
                .of("4.9-4", "CLOSE with the code \(code) is answered with CLOSE(NORMAL)") { bench in
                    let (peer, _) = try bench.open()
                    try bench.send(.close(RawCode(number: code)), on: peer)
                    try bench.expectClose(of: peer, .normal)
                },
                .of("4.9-4", "GOAWAY with the code \(code) is answered with CLOSE(NORMAL)") { bench in
                    let (peer, _) = try bench.open()
                    try bench.send(.goAway(RawCode(number: code), retryAfter: 5, spread: .max), on: peer)
                    try bench.expectClose(of: peer, .normal)
                },
            ]
        },
        [
            .drop("4.9-1", "GOAWAY whose zero is not 0", RawFrame.goAway().with { $0.payload[3] = 1 }.bytes),
            .drop("4.9-1", "CLOSE whose zero is not 0", RawFrame.close().with { $0.payload[6] = 0x80 }.bytes),
            .of("4.9-3", "FAILURE says why: its code is never NORMAL, nor above 20") { bench in
                let (peer, _) = try bench.open(.hello(maxMessage: 1))
                try bench.send(.request(1, "too long"), .request(2, "a", more: true), .cancel(2), on: peer)
                for _ in 0..<2 {
                    let frame = try bench.next(on: peer)
                    let number = frame.notice?.code.number ?? 0
                    bench.expect(frame.type == .failure && (1...20).contains(number), "a reason", got: "\(frame)")
                    bench.expect(frame.payload.count <= 520, "at most 520 bytes", got: "\(frame.payload.count)")
                }
            },
            .of("4.11-1", "last_id is not below a request that was answered, nor above all that were sent") { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(3, on: peer)
                try bench.expectServed(7, on: peer)
                try bench.send(.request(9, "a", more: true), .close(), on: peer)
                let id = try bench.expectClose(of: peer, .normal)?.lastID ?? 0
                bench.expect((7...9).contains(id), "7 to 9", got: "\(id)")
            },
            .of("4.11-2", "last_id is exactly the highest id that was answered", level: .should) { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(3, on: peer)
                try bench.expectServed(7, on: peer)
                try bench.send(.request(9, "a", more: true), .close(), on: peer)
                let id = try bench.expectClose(of: peer, .normal)?.lastID
                bench.expect(id == 7, "7", got: "\(id as Any)")
            },
            .of("4.11-3", "last_id is 0 where no request was sent") { bench in
                let (peer, _) = try bench.open()
                try bench.send(.close(), on: peer)
                let id = try bench.expectClose(of: peer, .normal)?.lastID
                bench.expect(id == 0, "0", got: "\(id as Any)")
            },
            .drop("4.11-4", "CLOSE with last_id 1", RawFrame.close(lastID: 1).bytes),
            .drop("4.11-4", "CLOSE with last_id 4294967295", RawFrame.close(lastID: .max).bytes, after: [.request(1)]),
            .drop(
                "4.11-4", "CLOSE with a last_id in a short connection", RawFrame.close(lastID: 1).bytes, .protocolError,
                .short),
            .of("4.11-2", "last_id in CLOSE(SILENT) is exactly the highest id that was answered", level: .should) {
                bench in
                let (peer, welcome) = try bench.open(bench.hello())
                try bench.expectServed(7, on: peer)
                try bench.send(.request(9, "a", more: true), on: peer)
                let end = try bench.readToClose(on: peer, .silent, within: welcome.deadline * 3 + .seconds(1))
                bench.expect(end.close?.lastID == 7, "7", got: "\(end.close as Any)")
            },
            .of(
                "4.11-2", "last_id in CLOSE(FRAME_TOO_LARGE) is exactly the highest id that was answered",
                level: .should
            ) { bench in
                let (peer, _) = try bench.open()
                try bench.expectServed(7, on: peer)
                try bench.send(RawFrame.header(.ping, length: 9), on: peer)
                let close = try bench.expectDrop(of: peer, .frameTooLarge)
                bench.expect(close?.lastID == 7, "7", got: "\(close as Any)")
            },
        ])
}
