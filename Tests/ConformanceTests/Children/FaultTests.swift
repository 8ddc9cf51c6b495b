import Glibc
import let Posix.isSanitized
import Testing
import RawWire

extension Live.Children {
    /// What becomes of everybody else, and of what is counted, when a process is killed, crashes or is stopped.
    @Suite("Faults") struct Faults {
        /// What a child is at when it is hit.
        enum Moment: String, CaseIterable {
            case greeting, idle, loop, thread, half, draining, closing, leaving, program, programLeaving

            /// The server that gets a connection there, by its flags; the program names itself by `script`.
            func command(_ script: Script) -> (String, [String]) {
                switch self {
                case .program, .programLeaving: ("server", ["--exec"] + script.command)
                case .loop: ("handlers", ["--at-once"])
                default: ("handlers", [])
                }
            }

            /// Whether a request is in work, which the log names.
            var isAtWork: Bool {
                switch self {
                case .greeting, .idle, .closing: false
                case .loop, .thread, .half, .draining, .leaving, .program, .programLeaving: true
                }
            }

            /// Whether a crash can still be told to the client: only between whole frames, and before CLOSE.
            var hearsOfCrash: Bool { ![.half, .closing, .leaving, .programLeaving].contains(self) }
        }

        enum Fault: CaseIterable {
            case killed, crashed, stopped

            /// A sanitizer handles SIGSEGV itself.
            static let all = isSanitized ? [killed, stopped] : allCases
        }
    }
}

extension Live.Children.Faults {
    private static let longResponse = 400 * 65536

    /// A program that says when it has a request, and answers when the file that the request names is gone.
    private static let script = """
        while read -r file; do echo began >&2; while [ -e "$file" ]; do sleep 0.05; done; echo done; done
        """

    @Test(
        "A child that is killed, crashes or is stopped for a while, whatever it is at: others are served, and the books balance",
        arguments: Moment.allCases, Fault.all)
    func child(_ moment: Moment, _ fault: Fault) throws {
        try withControl { control in
            let script = Script(Self.script)
            let (command, flags) = moment.command(script)
            let gate = "\(control)-gate"
            close(open(gate, O_CREAT | O_WRONLY, 0o600))
            defer {
                unlink(gate)
                for pid in script.family { kill(pid, SIGKILL) }
            }
            let arguments = ["--control", control, "--metrics", "127.0.0.1:0"] + flags
            try withServer(arguments, command: command) { server in
                let books = Books(control: Operator(control: control), scraper: try Scraper(server))
                let other = try server.open()
                if moment == .draining { try begin("wait 60000", 7, on: other, server) }
                let (peer, child) = try bring(to: moment, gate, server, stays: fault != .stopped)
                switch fault {
                case .killed, .crashed:
                    let signal = fault == .killed ? SIGKILL : SIGSEGV
                    kill(child, signal)
                    let name = fault == .killed ? "signal=SIGKILL" : "signal=SIGSEGV"
                    let line = try server.log.line(with: "child died", "pid=\(child)", "connection=2", name)
                    #expect(line.contains("request=1") == moment.isAtWork, "\(line)")
                    if fault == .crashed, moment.hearsOfCrash, moment != .greeting {
                        #expect(try peer.frames(upTo: .close).last?.notice?.code == .handlerFailed)
                    }
                case .stopped:
                    kill(child, SIGSTOP)
                    #expect(eventually { ProcessFiles.state(of: child) == "T" })
                    if moment != .draining { try answers(other, 1) }
                    unlink(gate)
                    kill(child, SIGCONT)
                    try finish(moment, peer)
                }
                peer.close()
                try server.waitForChildren(1)
                try books.balance(
                    accepted: 2,
                    died: fault == .stopped || moment == .closing || moment == .leaving
                        || moment == .programLeaving ? 0 : 1)
                if moment == .draining { return try end(other, server) }
                try answers(other, 2)
                try answers(server.open(), 1)
            }
            #expect(eventually { script.family.isEmpty }, "programs are left")
        }
    }

    /// What the server says of itself must be true at each look, and be over for those that are gone.
    private struct Books {
        let control: Operator
        let scraper: Scraper

        func balance(accepted: Double, died: Double) throws {
            let status = try #require(try control.json("status").first)
            func number(_ key: String) -> Double { status[key] as? Double ?? -1 }
            #expect(number("accepted") == accepted && number("connections") == 1, "\(status)")
            #expect(number("closed") == accepted - 1, "\(status)")
            #expect(try control.json("connections").count == 1)
            let all = try scraper.samples()
            #expect(all["connections_accepted_total"] == accepted && all["connections_live"] == 1, "\(all)")
            #expect(all.sum("connections_closed_total") == accepted - 1, "\(all)")
            #expect(all["connections_closed_total{reason=\"DIED\",by=\"none\"}"] ?? 0 == died, "\(all)")
            #expect(all["requests_in_flight"] == number("in_flight"))
        }
    }

    /// A connection, with its child, that is at `moment` now, and stays there where it is not stopped.
    private func bring(
        to moment: Moment, _ gate: String, _ server: ServerProcess, stays: Bool
    ) throws -> (RawPeer, pid_t) {
        let before = server.children
        let isHalf = moment == .half
        let peer = try server.connect(receiveBuffer: isHalf ? 65536 : nil)
        var child: pid_t?
        #expect(
            eventually {
                child = server.children.first { !before.contains($0) }; return child != nil
            })
        let pid = try #require(child)
        guard moment != .greeting else { return (peer, pid) }
        try peer.send(RawFrame.preface + RawFrame.hello(maxMessage: 1 << 30).bytes)
        try peer.takePreface()
        _ = try peer.take(.welcome)
        let waiting = "wait \(stays ? 60000 : 300)"
        switch moment {
        case .greeting: break
        case .idle:
            // The log does not name a request that has its answer.
            try answers(peer, 1)
        case .closing:
            // Its CLOSE is out, and it waits for the end of the stream.
            kill(pid, SIGSTOP)
            #expect(eventually { ProcessFiles.state(of: pid) == "T" })
            try peer.send(.unknown(0x77, flags: 0))
            kill(pid, SIGCONT)
            #expect(try peer.take(.close).notice?.code == .protocolError)
            try server.log.line(with: " closed ", "connection=2")
        case .loop, .thread: try begin(waiting, 1, on: peer, server)
        case .leaving:
            try begin("sleep \(stays ? 60000 : 300)", 1, on: peer, server)
            try peer.send(.cancel(1), .close())
            _ = try peer.frames(upTo: .close)
            try server.log.line(with: " closed ", "connection=2")
        case .half:
            try peer.send(.request(1, "parts 400 65536"))
            _ = try peer.take(.response)
        case .draining:
            try begin(waiting, 1, on: peer, server)
            server.process.kill(SIGTERM)
            _ = try peer.take(.goAway)
        case .program, .programLeaving:
            try peer.send(.request(1, gate))
            try server.log.line(with: "began")
            if moment == .programLeaving {
                try peer.send(.cancel(1), .close())
                _ = try peer.frames(upTo: .close)
                try server.log.line(with: " closed ", "connection=2")
            }
        }
        // What the test has seen of it is written down in the child too, once it waits again.
        #expect(eventually { ProcessFiles.state(of: pid) == "S" })
        return (peer, pid)
    }

    private func begin(_ text: String, _ id: UInt32, on peer: RawPeer, _ server: ServerProcess) throws {
        try peer.send(.request(id, text))
        try server.log.line(with: "handler: began \(id)")
    }

    private func answers(_ peer: RawPeer, _ id: UInt32) throws {
        try peer.send(.request(id, "/no/such/file"))
        #expect(try peer.take(.response).id == id)
    }

    /// What was begun goes on where it was, and to its end.
    private func finish(_ moment: Moment, _ peer: RawPeer) throws {
        switch moment {
        case .greeting:
            try peer.send(RawFrame.preface + RawFrame.hello().bytes)
            try peer.takePreface()
            _ = try peer.take(.welcome)
        case .idle: try answers(peer, 2)
        case .loop, .thread, .program: #expect(try peer.take(.response).id == 1)
        case .half:
            var bytes = 16384
            while bytes < Self.longResponse {
                let frame = try peer.takeFrame()
                if frame.type == .response { bytes += frame.payload.count }
            }
            #expect(bytes == Self.longResponse)
        case .draining:
            #expect(try peer.frames(upTo: .close).map(\.type).contains(.response))
            return
        case .closing, .leaving, .programLeaving: return
        }
        try peer.send(.close())
        _ = try peer.frames(upTo: .close)
    }

    /// The end of a server that drains, once the other connection is gone as well.
    private func end(_ other: RawPeer, _ server: ServerProcess) throws {
        other.close()
        #expect(try server.process.wait() == .status(0))
        try server.log.line(with: "stopped", "connections=2")
    }
}

extension Live.Children.Faults {
    @Test("While the parent is stopped, connections go on; those that come and those that end are taken up afterwards")
    func parentStopped() throws {
        try withControl { control in
            let arguments = ["--control", control, "--metrics", "127.0.0.1:0"]
            try withServer(arguments) { server in
                let books = Books(control: Operator(control: control), scraper: try Scraper(server))
                let long = try server.open()
                let leaves = try server.open()
                let dies = try #require(server.children.last)
                // Whoever answers has closed its own copy of the connection, which would hold the stream open.
                #expect(try Operator(control: control).status().contains("serving"))
                kill(server.pid, SIGSTOP)
                #expect(eventually { ProcessFiles.state(of: server.pid) == "T" })
                for id in UInt32(1)...100 {
                    try long.send(.request(id))
                    #expect(try long.take(.response).id == id)
                }
                let late = try server.connect()
                try late.send(RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1).bytes)
                kill(dies, SIGKILL)
                try leaves.readToEnd()
                leaves.close()
                #expect(eventually { ProcessFiles.state(of: dies) == "Z" }, "nobody reaps it")
                kill(server.pid, SIGCONT)
                try late.takePreface()
                _ = try late.take(.welcome)
                #expect(try late.take(.response).id == 1)
                late.close()
                try server.waitForChildren(1)
                try books.balance(accepted: 3, died: 1)
                try long.send(.request(101))
                #expect(try long.take(.response).id == 101)
            }
        }
    }
}
