import Posix
import RawWire

/// The durations of a run. All waits of the cases derive from them, so that one factor scales the suite.
struct Times: Sendable {
    /// The factor of --scale.
    let scale: Double

    /// The dead_after that cases ask for, in milliseconds: never under the least of the protocol.
    var deadAfter: UInt32 { max(100, UInt32(1000 * scale)) }

    /// How late the machine may be, on top of what the protocol allows; `tools/dev/check --sanitize` builds the judge and
    /// the judged alike.
    static let machine = Duration.milliseconds(isSanitized ? 500 : 50)

    /// The latest instant of what is promised for `time`: one slack more, and the machine.
    func latest(_ time: Duration, of deadAfter: UInt32) -> Duration {
        time + .milliseconds(deadAfter) / 10 + Times.machine
    }
}

/// The base of both benches: it sends bytes, judges what comes, and keeps the traces for the report.
class TestBench {
    let times: Times
    /// The number of bytes for each send(2); nil sends all at once.
    let chop: Int?
    private let side: SenderJudge.JudgedSide
    private(set) var verdict = CaseVerdict()
    private var traces: [Trace] = []

    /// A bench of a case against this side.
    init(_ side: SenderJudge.JudgedSide, times: Times, chop: Int?) {
        self.side = side
        self.times = times
        self.chop = chop
    }

    /// The verdict, with the traces of all connections.
    func finished() -> CaseVerdict {
        verdict.traces = traces.map(\.entries)
        return verdict
    }

    /// Traces the bytes of `peer` for the report, and judges each frame that comes.
    func trace(_ peer: RawPeer) -> RawPeer { trace(peer, behind: 0) }

    /// The same, where the first `headerLength` bytes that are sent are no part of the client's stream.
    func trace(_ peer: RawPeer, behind headerLength: Int) -> RawPeer {
        let trace = Trace()
        peer.trace = trace
        traces.append(trace)
        return judged(peer, behind: headerLength)
    }

    /// Judges each frame that comes from `peer`, whoever takes it.
    func judged(_ peer: RawPeer, behind headerLength: Int = 0) -> RawPeer {
        var judge = SenderJudge(side)
        var left = headerLength
        peer.didSend = { bytes in
            let client = bytes.dropFirst(left)
            left -= bytes.count - client.count
            judge.note(client, at: .now)
        }
        peer.didTake = { [unowned self, unowned peer] frame in
            let isReleased = isReleased(peer)
            if let complaint = judge.complaint(about: frame, at: peer.heardAt, isReleased: isReleased) {
                fail(complaint)
            }
        }
        return peer
    }

    /// Whether the implementation waits for no PONG of `peer` (5.12-5).
    func isReleased(_ peer: RawPeer) -> Bool { peer.hasEnded }

    // MARK: Sending

    func send(_ frames: RawFrame..., on peer: RawPeer) throws { try send(frames.flatMap(\.bytes), on: peer) }

    /// How many bytes of what is long go in pieces of `chop`: millions of pieces would show nothing that these do not.
    private static let mostChopped = 65536

    /// Sends `bytes`, in pieces of `chop`, and in larger ones what is long.
    func send(_ bytes: [UInt8], on peer: RawPeer) throws {
        guard let chop else { return try peer.send(bytes) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.count > TestBench.mostChopped ? max(chop, 16384) : chop
            try peer.send(Array(rest.prefix(piece)))
            rest = rest.dropFirst(piece)
        }
    }

    // MARK: Taking

    /// The request that `first` begins, with the chunks that `next` brings.
    func whole(request first: RawFrame, next: () throws -> RawFrame) throws -> RawFrame {
        guard first.type == .request else { throw Unexpected("expected REQUEST, got \(first)") }
        var request = first
        while request.hasMore {
            let chunk = try next()
            guard chunk.type == .request, chunk.id == request.id else {
                throw Unexpected("expected the next chunk of request \(request.id), got \(chunk)")
            }
            request.payload += chunk.payload
            request.flags = chunk.flags
        }
        return request
    }

    // MARK: Judging

    /// Notes a failure where `holds` is false; the first one is the verdict.
    func expect(_ holds: Bool, _ expected: String, got: @autoclosure () -> String) {
        guard !holds else { return }
        fail("expected \(expected), got \(got())")
    }

    func fail(_ text: String) {
        if verdict.behaviour == .right { verdict.behaviour = .wrong(text) }
    }

    func skip(_ reason: String) { verdict.behaviour = .skipped(reason) }

    /// The dropped connection: nothing but heartbeats may come before CLOSE, which must carry `code`.
    @discardableResult
    func expectDrop(
        of peer: RawPeer, _ code: RawCode, within limit: Duration = RawPeer.patience
    ) throws -> Notice? {
        let close = try expectClose(of: peer, code, within: limit) { frame in
            frame.type == .ping ? nil : "expected CLOSE(\(code)), got \(frame)"
        }
        if let close {
            expect(close.text.count <= 512, "a text of at most 512 bytes", got: "\(close.text.count)")
        }
        return close
    }

    /// CLOSE with `code`, then the end of the stream; what comes before it is judged by `complaint`.
    @discardableResult
    func expectClose(
        of peer: RawPeer, _ code: RawCode, within limit: Duration = RawPeer.patience,
        before complaint: (RawFrame) -> String? = { _ in nil }
    ) throws -> Notice? {
        let deadline = SuspendingClock.now + limit
        while true {
            guard let frame = try peer.nextFrame(within: max(.zero, SuspendingClock.now.duration(to: deadline))) else {
                guard let ending = peer.ending else {
                    fail("expected CLOSE(\(code)) within \(limit), got nothing")
                    return nil
                }
                verdict.closing = .unclean("expected CLOSE(\(code)), got \(ending) without CLOSE")
                return nil
            }
            guard frame.type == .close, let notice = frame.notice else {
                if let text = complaint(frame) {
                    fail(text)
                    return nil
                }
                continue
            }
            verdict.closing =
                notice.code == code ? .right : .wrongCode("expected CLOSE(\(code)), got CLOSE(\(notice.code))")
            do {
                try peer.takeEnd(within: .seconds(3))
            } catch {
                verdict.closing = .unclean("after CLOSE: \(error)")
            }
            return notice
        }
    }

    /// A promise of the form "between `earliest` and `latest`": `measure` is called up to `samples` times.
    ///
    /// A sample that is too early is a fault, always. One that is too late may be the machine's: the best one counts.
    func expectBetween(
        _ what: String, _ earliest: Duration, _ latest: Duration, samples: Int = 3, _ measure: () throws -> Duration
    ) throws {
        var taken: [Duration] = []
        defer {
            verdict.measurements.append(
                CaseVerdict.Measurement(what: what, earliest: earliest, latest: latest, samples: taken))
        }
        for _ in 0..<samples {
            let sample = try measure()
            taken.append(sample)
            guard verdict.behaviour == .right else { return }
            expect(sample >= earliest, "\(what) not before \(earliest)", got: "\(sample)")
        }
        expect(taken.min()! <= latest, "\(what) within \(latest)", got: "\(taken)")
    }
}

extension TestBench {
    /// Sends PINGs whose nonces fall to 1, and judges that each PONG answers a later one (5.4-5). `next` takes a frame.
    func expectLatestIsAnswered(on peer: RawPeer, next: () throws -> RawFrame) throws {
        try send((1...15).reversed().flatMap { RawFrame.ping($0).bytes }, on: peer)
        var last: UInt64 = 16
        while last > 1 {
            let frame = try next()
            let nonce = frame.pong?.nonce ?? 0
            expect((1..<last).contains(nonce), "a PONG with a nonce below \(last)", got: "\(frame)")
            guard (1..<last).contains(nonce) else { return }
            last = nonce
        }
    }
}
