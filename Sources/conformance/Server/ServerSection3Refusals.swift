import Posix
import RawWire

/// A client that has asked for more than all buffers hold, and has not read any of it.
struct Stuck {
    let peer: RawPeer
    let welcome: WelcomeFields
    /// Each request's bytes; all are alike.
    let message: [UInt8]
    /// The ids are 1 to this.
    let count: UInt32

    /// The bytes of responses that the kernel holds, where the system tells; nil elsewhere.
    func bytesInKernel() throws -> Int? {
        // Lines of 150 bytes: number, local address, remote address, state, tx_queue:rx_queue, all in hexadecimal. They
        // may be thousands, so only their places are looked at.
        guard let table = try? contents(ofFile: "/proc/net/tcp", most: 1 << 26), table.count % 150 == 0 else {
            return nil
        }
        func number(_ place: Int, _ digits: Int) -> Int {
            Int(String(decoding: table[place..<place + digits], as: UTF8.self), radix: 16) ?? 0
        }
        func digits(_ port: UInt16) -> [UInt8] { Array(hex(bigEndian(port)).uppercased().utf8.filter { $0 != 0x20 }) }
        let ours = digits(peer.localPort)
        let theirs = digits(peer.remotePort)
        var sum: Int?
        for line in stride(from: 150, to: table.count, by: 150) {
            // A number of five digits and a colon moves the rest by one.
            let colon = table[line + 4] == 0x3A ? line + 4 : line + 5
            let last = table[colon + 14]
            guard last == ours[3] || last == theirs[3] else { continue }
            let local = table[(colon + 11)..<(colon + 15)]
            let remote = table[(colon + 25)..<(colon + 29)]
            // What the server has handed over and we have not got, and what we have got and not read.
            if local.elementsEqual(theirs), remote.elementsEqual(ours) { sum = (sum ?? 0) + number(colon + 33, 8) }
            if local.elementsEqual(ours), remote.elementsEqual(theirs) { sum = (sum ?? 0) + number(colon + 42, 8) }
        }
        return sum
    }

    /// Waits until the kernel takes no more from the server: what it holds stays the same for a while.
    func settle() throws {
        var last = -1
        var same = 0
        _ = try eventually(within: .seconds(2)) {
            let now = try bytesInKernel() ?? 0
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
        guard let kernel = try bytesInKernel() else { throw Skip("the system does not tell what the kernel holds") }
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
    /// Asks for `total` bytes, and reads none of them. Not shown in the report: it is much.
    func stuck(
        _ total: Int = 6 << 20, _ hello: RawFrame = .hello()
    ) throws -> Stuck {
        let peer = try RawPeer.connect(to: address, receiveBuffer: 4096)
        try send(RawFrame.preface + hello.bytes, on: peer)
        let welcome = try takeWelcome(on: peer)
        let size = min(1 << 20, Int(welcome.maxMessage))
        guard size >= 8192 else { throw Skip("the server's max_message is only \(welcome.maxMessage)") }
        let message = [UInt8](repeating: 0x5A, count: size)
        let count = UInt32((total + size - 1) / size)
        let start = SuspendingClock.now
        for id in 1...count { try peer.send(request(id, message, welcome)) }
        guard start.age < welcome.deadline * 0.6 else {
            throw Skip("to ask for \(total >> 20) MiB took \(start.age), with a dead_after of \(welcome.deadline)")
        }
        return Stuck(peer: peer, welcome: welcome, message: message, count: count)
    }
}

extension Case<ServerBench> {
    /// Requests over max_in_flight and max_queued: a client that does not read has many in flight.
    static let refusals: [Case] = [
        .of(
            "3.6-8", "Requests over a limit are refused, each once; the others are answered, and the connection goes on"
        ) {
            bench in
            let stuck = try bench.stuck(try bench.overLimits())
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
            let stuck = try bench.stuck(try bench.overLimits())
            var frame = try bench.next(on: stuck.peer)
            while frame.type != .failure { frame = try bench.next(on: stuck.peer) }
            bench.expect(frame.notice?.text.count ?? 0 <= 64, "at most 64 bytes", got: "\(frame)")
        },
        .of("3.6-9", "CLOSE after refusals has the id of the last request that was not refused", level: .should) {
            bench in
            let stuck = try bench.stuck(try bench.overLimits())
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
            let stuck = try bench.stuck(try bench.overLimits())
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
