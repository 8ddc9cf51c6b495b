import RawWire

/// Section 5.9: who does not read, and who reads slowly.
extension Case<ServerBench> {
    static let readers = numbered(
        "5.9",
        [
            .of(
                "5.9-1",
                "A client that is heard but never reads is dropped with SLOW_READER, behind the frame that is begun"
            ) {
                bench in
                let stuck = try bench.stuck(bench.hello())
                let dead = stuck.welcome.deadline
                // The latest instant of the drop. The server has another second to get CLOSE out, now that it is read.
                bench.beat(stuck.peer, for: dead + stuck.welcome.slack + .milliseconds(50), every: dead / 8)
                let frames = try stuck.peer.frames(upTo: .close)
                let close = frames.last?.notice
                bench.expect(close?.code == .slowReader, "CLOSE(SLOW_READER)", got: "\(frames.suffix(2))")
                let others = frames.dropLast().first { ![.response, .failure, .ping].contains($0.type) }
                bench.expect(others == nil, "whole frames before CLOSE", got: "\(others as Any)")
                try stuck.peer.takeEnd()
            },
            .of("5.9-1", "A client that does not read for 0.8 of dead_after is kept, and gets all") { bench in
                let stuck = try bench.stuck(bench.hello())
                let dead = stuck.welcome.deadline
                bench.beat(stuck.peer, for: dead * 0.8 - stuck.waitsSince.age, every: dead / 8)
                var endings = 0
                var frames = 0
                while endings < stuck.count {
                    let frame = try bench.next(on: stuck.peer)
                    // Its PINGs come behind what waits: the client has to be heard without them.
                    frames += 1
                    if frames % 16 == 0 { _ = try stuck.peer.push(RawFrame.skipped().bytes[...]) }
                    guard frame.type != .close else { throw Unexpected("expected to be kept, got \(frame)") }
                    if !frame.hasMore { endings += 1 }
                }
                try bench.expectServed(stuck.count + 1, on: stuck.peer)
            },
            .of("5.9-1", "A client that reads slowly, but reads, is kept for many times dead_after") { bench in
                try bench.expectSlowReaderKept(halfClosed: false)
            },
            .of("5.9-2", "A client that reads slowly after its end of stream is kept, and gets its answers") { bench in
                try bench.expectSlowReaderKept(halfClosed: true)
            },
            .of("5.9-2", "A client that never reads after its end of stream is not kept: its answers are given up") {
                bench in
                let stuck = try bench.stuck(bench.hello())
                stuck.peer.shutdownWriting()
                bench.pause(stuck.welcome.deadline * 1.4)
                // All answers were ready, so CLOSE(NORMAL) may have been in line: then there is no other.
                var endings = 0
                var close: Notice?
                while let frame = try stuck.peer.nextFrame() {
                    if frame.type == .close { close = frame.notice } else if !frame.hasMore { endings += 1 }
                }
                bench.expect(stuck.peer.ending != nil, "the end of the connection", got: "nothing")
                bench.expect(
                    close == nil || close?.code == .slowReader, "CLOSE(SLOW_READER) or none", got: "\(close as Any)")
                bench.expect(endings < stuck.count, "fewer answers than requests", got: "all of them")
            },
            .of("5.9-1", "A client that does not read an idle connection is kept: nothing waits") { bench in
                let (peer, welcome) = try bench.open(bench.hello())
                bench.beat(peer, for: welcome.deadline * 3, every: welcome.deadline / 5)
                try bench.expectServed(1, on: peer)
            },
            .of("2.3-2", "The server reads on, whatever waits to be read: a client may send all before it reads") {
                bench in
                let stuck = try bench.flood(8 << 20)
                try bench.send(.ping(5), on: stuck.peer)
                while try stuck.peer.takeFrame().pong?.nonce != 5 {}
            },
        ], boundedReaders)

}

extension ServerBench {
    /// Sends frames to be skipped, and reads nothing.
    func beat(_ peer: RawPeer, for duration: Duration, every interval: Duration) {
        let start = SuspendingClock.now
        while start.age < duration {
            _ = try? peer.push(RawFrame.skipped().bytes[...])
            pause(interval)
        }
    }

    /// Reads a little at a time, for three times dead_after, and then all.
    func expectSlowReaderKept(halfClosed: Bool) throws {
        let stuck = try stuck(hello())
        let peer = stuck.peer
        if halfClosed { peer.shutdownWriting() }
        let dead = stuck.welcome.deadline
        let start = SuspendingClock.now
        var endings = 0
        var close: Notice?
        var frames = 0
        func note(_ frame: RawFrame) throws {
            frames += 1
            if !halfClosed, frames % 16 == 0 { _ = try peer.push(RawFrame.skipped().bytes[...]) }
            if frame.type == .close { close = frame.notice }
            guard close == nil || halfClosed && endings == stuck.count else {
                throw Unexpected("expected to be kept, got \(frame)")
            }
            if frame.type == .response || frame.type == .failure, !frame.hasMore { endings += 1 }
        }
        while start.age < dead * 3, endings < stuck.count {
            for frame in try readSome(128 << 10, on: peer) { try note(frame) }
            if !halfClosed { _ = try peer.push(RawFrame.skipped().bytes[...]) }
            pause(dead / 8)
        }
        while endings < stuck.count { try note(try peer.takeFrame()) }
        guard halfClosed else { return try expectServed(stuck.count + 1, on: peer) }
        while close == nil { try note(try peer.takeFrame()) }
        expect(close?.code == .normal, "CLOSE(NORMAL)", got: "\(close as Any)")
    }
}
