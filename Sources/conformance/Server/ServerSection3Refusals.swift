import Posix
import RawWire

/// A client that has asked for more than all buffers hold, and has not read any of it.
struct Stuck {
    let peer: RawPeer
    let welcome: WelcomeFields
    /// Each request's bytes; all are alike.
    let message: [UInt8]
    /// The ids are 1 to this.
    private(set) var count: UInt32 = 0
    /// No answer has waited for the kernel before.
    fileprivate(set) var waitsSince = SuspendingClock.now
    /// When the server heard from this client last.
    fileprivate(set) var askedAt = SuspendingClock.now

    init(peer: RawPeer, welcome: WelcomeFields, message: [UInt8]) {
        self.peer = peer
        self.welcome = welcome
        self.message = message
    }

    /// So many bytes have been asked for.
    var asked: Int { Int(count) * message.count }

    /// Whether one request more keeps to the server's limits while the kernel holds so many bytes of answers.
    func hasRoom(holding held: Int) -> Bool {
        let answer = message.count + (message.count + 16383) / 16384 * RawFrame.headerLength
        let unanswered = Int(count) - held / answer
        return unanswered < Int(welcome.maxInFlight) && (unanswered + 1) * message.count <= Int(welcome.maxQueued)
    }

    mutating func ask(_ bench: ServerBench) throws {
        count += 1
        askedAt = .now
        try peer.send(bench.request(count, message, welcome))
    }

    /// Waits until the kernel takes no more from the server: what it holds stays the same for a while.
    func settle() throws {
        var last = -1
        var same = 0
        _ = eventually(within: .seconds(2)) {
            let now = peer.bytesInKernel ?? 0
            same = now == last && now > 0 ? same + 1 : 0
            last = now
            _ = eventually(within: .milliseconds(30)) { false }
            return same == (welcome.deadline < .seconds(3) ? 3 : 5)
        }
    }

    /// Reads until the PONG of `nonce`, a PING that is sent now: how many bytes of messages came before it beyond those
    /// that the kernel had already.
    func bytesOvertaken(by nonce: UInt64, _ bench: ServerBench) throws -> Int {
        try settle()
        guard let kernel = peer.bytesInKernel else { throw Skip("the system does not tell what the kernel holds") }
        let held = kernel + peer.unread.count
        try bench.send(.ping(nonce), on: peer)
        var behind = 0
        while true {
            let frame = try peer.takeFrame()
            if frame.pong?.nonce == nonce { return behind - held }
            if frame.type != .ping { behind += 12 + frame.payload.count }
        }
    }
}

extension ServerBench {
    /// Asks for `total` bytes at once, whatever the server takes, and reads none of the answers. Not shown in the report:
    /// it is much.
    func flood(_ total: Int) throws -> Stuck {
        var stuck = try greedy()
        while stuck.asked < total { try stuck.ask(self) }
        return stuck
    }

    /// Asks for much, and reads none of the answers: the server has some that its kernel does not take.
    ///
    /// A server may refuse what takes its unanswered requests over its limits (3.6-8), and how soon a handler answers is
    /// its own affair. So each request waits until there is room for it, which is when enough of the answers before it
    /// are with the kernel.
    func stuck(_ hello: RawFrame = .hello()) throws -> Stuck {
        for _ in 0..<3 { if let stuck = try stuckInTime(hello) { return stuck } }
        throw Skip("to ask for \(ServerBench.much >> 20) MiB takes too long for the dead_after of this run")
    }

    /// More than the kernel holds of one connection: its bound for that (tcp(7), tcp_wmem), and two MiB.
    private static let much: Int = {
        let bounds = (try? contents(ofFile: "/proc/sys/net/ipv4/tcp_wmem", most: 256)) ?? []
        let most = String(decoding: bounds, as: UTF8.self).split(whereSeparator: \.isWhitespace).last
        return (most.flatMap { Int($0) } ?? 4 << 20) + (2 << 20)
    }()

    /// nil where answers may have waited for most of dead_after already when all is asked for, or the client was silent
    /// for as long.
    private func stuckInTime(_ hello: RawFrame) throws -> Stuck? {
        var stuck = try greedy(hello)
        let patience = min(stuck.welcome.deadline / 2, .milliseconds(500))
        var held = 0
        var lookedAt = stuck.waitsSince
        var movedAt = lookedAt
        while stuck.asked < ServerBench.much {
            if stuck.hasRoom(holding: held) {
                try stuck.ask(self)
                movedAt = .now
                continue
            }
            pause(.milliseconds(2))
            let now = SuspendingClock.now
            if let holds = stuck.peer.bytesInKernel {
                if holds > held { (held, stuck.waitsSince, movedAt) = (holds, lookedAt, .now) }
            } else {
                // Nobody tells. It is hoped that all is answered by then.
                pause(patience / 2)
                held = stuck.asked
            }
            lookedAt = now
            // A kernel that takes no more has enough.
            if movedAt.age > patience { break }
        }
        return max(stuck.waitsSince.age, stuck.askedAt.age) < stuck.welcome.deadline * 0.6 ? stuck : nil
    }

    private func greedy(_ hello: RawFrame = .hello()) throws -> Stuck {
        let peer = judged(try connectBare(receiveBuffer: 4096))
        try send(RawFrame.preface + hello.bytes, on: peer)
        let welcome = try takeWelcome(on: peer)
        guard welcome.maxMessage >= 8192 else { throw Skip("the server's max_message is only \(welcome.maxMessage)") }
        let size = min(1 << 20, Int(welcome.maxMessage), max(8192, Int(welcome.maxQueued) / 4))
        return Stuck(peer: peer, welcome: welcome, message: [UInt8](repeating: 0x5A, count: size))
    }
}

extension Case<ServerBench> {
    /// Requests over max_in_flight and max_queued: a client that does not read has many in flight.
    static let refusals: [Case] = [
        .of(
            "3.6-8", "Requests over a limit are refused, each once; the others are answered, and the connection goes on"
        ) {
            bench in
            let stuck = try bench.flood(try bench.overLimits())
            var length: [UInt32: Int] = [:]
            var refused: Set<UInt32> = []
            var answered: Set<UInt32> = []
            while refused.count + answered.count < stuck.count {
                let frame = try bench.next(on: stuck.peer)
                let isFirst = !refused.contains(frame.id) && !answered.contains(frame.id)
                bench.expect(isFirst, "one ending for each request", got: "\(frame)")
                if frame.type == .failure {
                    bench.expect(frame.notice?.code == .refused, "FAILURE(REFUSED)", got: "\(frame)")
                    refused.insert(frame.id)
                } else {
                    length[frame.id, default: 0] += frame.payload.count
                    if !frame.hasMore { answered.insert(frame.id) }
                }
            }
            bench.expect(
                !refused.isEmpty && !answered.isEmpty, "some refused, some not", got: "\(refused.count) refused")
            bench.expect(
                answered.allSatisfy { length[$0] == stuck.message.count }, "whole responses", got: "shorter ones")
            try bench.expectServed(stuck.count + 1, on: stuck.peer, "it is read again")
        },
        .of("11-6", "The text of FAILURE(REFUSED) is not longer than 64 bytes", level: .should) { bench in
            let stuck = try bench.flood(try bench.overLimits())
            var frame = try bench.next(on: stuck.peer)
            while frame.type != .failure { frame = try bench.next(on: stuck.peer) }
            bench.expect(frame.notice?.text.count ?? 0 <= 64, "at most 64 bytes", got: "\(frame)")
        },
        .of("3.6-9", "CLOSE after refusals has the id of the last request that was not refused", level: .should) {
            bench in
            let stuck = try bench.flood(try bench.overLimits())
            var answered: Set<UInt32> = []
            var endings = 0
            while endings < stuck.count {
                let frame = try bench.next(on: stuck.peer)
                if frame.type == .response { answered.insert(frame.id) }
                if !frame.hasMore { endings += 1 }
            }
            try stuck.peer.send(.close())
            let close = try bench.expectClose(of: stuck.peer, .normal)
            bench.expect(
                close?.lastID == answered.max(), "last_id \(answered.max() ?? 0)", got: "\(close?.lastID ?? 0)")
        },
        .of("3.6-10", "The chunks that come for a refused request are discarded, and count against max_message") {
            bench in
            let stuck = try bench.flood(try bench.overLimits())
            let last = stuck.count + 1
            let chunk = [UInt8](repeating: 1, count: min(16384, Int(stuck.welcome.maxFrame)))
            for _ in 0..<Int(stuck.welcome.maxMessage) / chunk.count {
                try stuck.peer.send(.request(last, chunk, more: true))
            }
            var endings = 0
            while endings < last {
                // What the kernel took meanwhile may have made room: then it is not refused.
                let limit = endings < stuck.count ? RawPeer.patience : .milliseconds(300)
                guard let frame = try stuck.peer.nextFrame(within: limit) else {
                    throw Skip("there was room for the request that was to be refused")
                }
                if frame.type == .ping { try stuck.peer.send(.pong(to: frame)) } else if !frame.hasMore { endings += 1 }
                guard frame.id == last else { continue }
                bench.expect(frame.notice?.code == .refused, "FAILURE(REFUSED)", got: "\(frame)")
            }
            let over = Int(stuck.welcome.maxMessage) % chunk.count + 1
            try bench.send(RawFrame.header(.request, length: UInt32(over), id: last), on: stuck.peer)
            try bench.expectDrop(of: stuck.peer, .messageTooLarge)
        },
    ]
}

extension ServerBench {
    /// How many bytes take the server over a limit of its own, the buffers of the kernel being full.
    func overLimits() throws -> Int {
        let welcome = try limits()
        let size = min(1 << 20, Int(welcome.maxMessage))
        let (product, overflow) = size.multipliedReportingOverflow(by: Int(welcome.maxInFlight))
        let most = min(Int(welcome.maxQueued), overflow ? .max : product)
        guard most <= 16 << 20 else { throw Skip("it takes \(most >> 20) MiB to go over a limit of this server") }
        return most + (8 << 20)
    }
}
