import Basics
import Framing
import Posix
import ProxyProtocol
import Testing

@testable import LifelineServer

private let deadline = at(3000)
private func header(_ text: String) -> [UInt8] { Array(text.utf8) }
private let client = ClientSource(address: SocketAddress(host: "203.0.113.7", port: 0)!.ipNumber!, port: 5)
private let proxied = header("PROXY TCP4 203.0.113.7 192.0.2.1 5 443\r\n")
private let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

@Suite("The beginning of a proxy's connection")
struct ProxyHandshakeTests {
    private func closing(_ step: ProxyHandshake.Step) -> Close? {
        if case .leave(.closed(let close)) = step { close } else { nil }
    }

    @Test("A header may come in pieces; the parent is asked about its client, and what follows is left")
    func pieces() {
        var handshake = ProxyHandshake(deadline: deadline)
        for byte in proxied.dropLast() {
            let (step, taken) = handshake.received([byte])
            #expect(step == .wait && taken == 1 && !handshake.isAsking)
        }
        let (step, taken) = handshake.received([proxied.last!, 0x4C, 0x49])
        #expect(step == .ask(client) && taken == 1 && handshake.isAsking)
        #expect(handshake.judged(.admitted) == .serve)
        let refused = handshake.judged(.refused(.perSource, retryAfter: 7))
        #expect(refused == .leave(.refused(Close(.busy, Admission.Reason.perSource.text, retryAfter: 7))))
    }

    @Test("A header without a client is served without asking", arguments: ["UNKNOWN", "UNKNOWN 1 2 3"])
    func unknown(_ family: String) {
        var handshake = ProxyHandshake(deadline: deadline)
        let bytes = header("PROXY \(family)\r\n")
        let (step, taken) = handshake.received((bytes + [1])[...])
        #expect(step == .serve && taken == bytes.count)
    }

    @Test("LOCAL with nothing behind it is a probe, however it ends; with bytes it is served")
    func local() {
        let ends: [(inout ProxyHandshake) -> ProxyHandshake.Step] = [
            { $0.ended() }, { $0.ended("reset") }, { $0.resumed(at: deadline) },
            { $0.commanded(.end, retryAfter: 1) },
        ]
        for end in ends {
            var handshake = ProxyHandshake(deadline: deadline)
            let (step, taken) = handshake.received((signature + [0x20, 0x11, 0, 2, 9, 9])[...])
            #expect(step == .wait && taken == 18 && !handshake.isAsking)
            #expect(end(&handshake) == .leave(.probe))
        }
        var handshake = ProxyHandshake(deadline: deadline)
        _ = handshake.received((signature + [0x20, 0, 0, 0])[...])
        let (step, taken) = handshake.received([0x4C])
        #expect(step == .serve && taken == 0)
    }

    @Test("The end before a byte is a probe; within a header it is a fault, and a reset a loss")
    func ends() {
        let untouched = ProxyHandshake(deadline: deadline)
        #expect(untouched.ended() == .leave(.probe) && untouched.ended("reset") == .leave(.probe))
        var begun = ProxyHandshake(deadline: deadline)
        _ = begun.received(header("PRO")[...])
        #expect(closing(begun.ended())?.code == .protocolError && begun.ended("reset") == .leave(.lost("reset")))
    }

    @Test("What is no header is closed with what was wrong and who asks for it")
    func wrong() throws {
        var handshake = ProxyHandshake(deadline: deadline)
        let close = try #require(closing(handshake.received(header("LIFELINE")[...]).step))
        #expect(
            close.code == .protocolError && close.text.hasSuffix("--proxy-from asks for a header of the PROXY protocol")
        )
    }

    @Test("Time runs out before the header and before the verdict, and commands end it")
    func time() throws {
        var handshake = ProxyHandshake(deadline: deadline)
        #expect(handshake.resumed(at: at(2999)) == .wait)
        #expect(try #require(closing(handshake.resumed(at: deadline))).text.contains("did not come in time"))
        _ = handshake.received(proxied[...])
        let late = try #require(closing(handshake.resumed(at: deadline)))
        #expect(late.code == .handshakeTimeout && late.text.contains("not judged"))
        #expect(closing(handshake.commanded(.sendAway(retryAfter: 9), retryAfter: 1))?.retryAfter == 9)
        #expect(closing(handshake.commanded(nil, retryAfter: 1))?.code == .shuttingDown)
        #expect(closing(handshake.commanded(.kick, retryAfter: 1))?.code == .kicked)
    }
}

@Suite("What a proxy says of its client")
struct ProxiedClientTests {
    private let via = SocketAddress(host: "10.0.0.1", port: 9)!

    private func client(_ tls: ProxyHeader.TLS?, authority: String? = "server.test") -> ProxiedClient {
        let source = ProxyHeader.ConnectionEnd.ip(0xFFFF_CB00_7107, port: 5)
        let server = ProxyHeader.ConnectionEnd.ip(0x2001_0DB8 << 96 | 1, port: 443)
        return ProxiedClient(
            ProxyHeader(
                version: 2, command: .proxy, source: source, destination: server, tls: tls, authority: authority,
                uniqueID: [1, 0xFF]), via: via)
    }

    @Test("The client is the peer, the proxy the way; without a client the proxy is both")
    func addresses() {
        let named = client(nil)
        #expect(named.peer.description == "203.0.113.7:5" && named.server?.description == "[2001:db8::1]:443")
        #expect(named.tls == nil && named.uniqueID == [1, 0xFF])
        for source in [nil, ProxyHeader.ConnectionEnd.unix(Array("/x".utf8))] {
            let unnamed = ProxiedClient(
                ProxyHeader(version: 2, command: .proxy, source: source, destination: source), via: via)
            #expect(unnamed.peer.description == "10.0.0.1:9" && unnamed.source == nil && unnamed.server == nil)
        }
    }

    @Test("A program has the client in the variables of UCSPI, the proxy beside it, and the client's TLS")
    func environment() {
        let tls = ProxyHeader.TLS(version: "TLSv1.3", cipher: "C", provedName: "till-7")
        let named = client(tls)
        let environment = ProgramEnvironment(
            server: 1, connection: 2, peer: named.peer, local: SocketAddress(host: "unix:/x", port: 0)!, client: named)
        let variables = environment.variables(name: nil, tokenName: nil, request: nil)
        #expect(
            variables == [
                "LIFELINE_SERVER=1", "LIFELINE_CONNECTION=2", "PROTO=TCP", "TCPREMOTEIP=203.0.113.7",
                "TCPREMOTEPORT=5", "TCPLOCALIP=2001:db8::1", "TCPLOCALPORT=443", "TCPPROXYIP=10.0.0.1",
                "TCPPROXYPORT=9", "LIFELINE_TLS_VERSION=TLSv1.3", "LIFELINE_TLS_CIPHER=C",
                "LIFELINE_TLS_SNI=server.test", "LIFELINE_TLS_CN=till-7",
            ])
        let names = variables.map { String($0.prefix { $0 != "=" }) }
        #expect(Set(names).isSubset(of: ProgramEnvironment.replaced))
        let unnamed = ProxiedClient(ProxyHeader(version: 1, command: .proxy), via: via)
        let unknown = ProgramEnvironment(
            server: 1, connection: 2, peer: unnamed.peer, local: SocketAddress(host: "10.0.0.2", port: 1)!,
            client: unnamed)
        #expect(
            unknown.variables(name: "n", tokenName: nil, request: nil) == [
                "LIFELINE_SERVER=1", "LIFELINE_CONNECTION=2", "PROTO=TCP", "TCPPROXYIP=10.0.0.1", "TCPPROXYPORT=9",
                "LIFELINE_NAME=n",
            ], "the proxy's address is not the client's")
    }

    @Test("A handler's connection has the client, the proxy and the TLS")
    func connection() {
        let named = client(.init(version: "TLSv1.2", provedName: "n"))
        let mailbox = HandlerMailbox(waking: LoopWaker())
        let connection = Connection(
            id: 1, address: named.peer, client: named, hello: Hello(), tokenName: nil, mailbox: mailbox)
        #expect(connection.peer == "203.0.113.7:5" && connection.via == "10.0.0.1:9")
        #expect(connection.tls?.clientName == "n" && connection.uniqueID == [1, 0xFF])
        let direct = Connection(id: 1, address: named.peer, hello: Hello(), tokenName: nil, mailbox: mailbox)
        #expect(direct.via == nil && direct.tls == nil && direct.uniqueID == nil)
    }
}

@Suite("Which listeners take headers")
struct ListenerProxyTests {
    private func address(_ text: String) throws -> ListenAddress { try ListenAddress(text) }

    @Test("A listener's own proxies stand behind its address, and are written as they are read")
    func read() throws {
        #expect(try address("127.0.0.1:7400").proxies == nil)
        #expect(try address("127.0.0.1:7400,direct").proxies == [])
        #expect(try address("unix:/a,b,proxy-from=unix").proxies == [.unix])
        #expect(try address("unix:/a,b,proxy-from=unix").host == "unix:/a,b")
        for text in ["[::1]:1,proxy-from=10.0.0.0/8,proxy-from=::1", "1.2.3.4:1,direct", "unix:/x,y,direct", "*:0"] {
            #expect(try address(text).text == text)
        }
        for text in [
            "127.0.0.1:1,proxy-from=unix", "unix:/x,proxy-from=::1", "127.0.0.1:1,direct,proxy-from=::1", "*:1,",
            "*:1,other", "*:1,proxy-from=10.0.0.1/8", "*:1,proxy-from=",
        ] {
            #expect(throws: StartError.self) { try address(text) }
        }
    }

    @Test("--proxy-from holds for the sockets that its proxies can connect to, and not beside proxies of their own")
    func fits() throws {
        let both = [ProxySource.range(try AddressRange("10.0.0.0/8")), .unix]
        let tcp = try #require(ListenerProxies(both, isUnix: false))
        func number(_ host: String) -> UInt128? { SocketAddress(host: host, port: 0)?.ipNumber }
        #expect(tcp.contains(number("10.1.2.3")) && tcp.contains(number("::ffff:10.1.2.3")))
        #expect(!tcp.contains(number("11.0.0.1")) && !tcp.contains(number("::1")) && !tcp.contains(nil))
        #expect(try #require(ListenerProxies(both, isUnix: true)).contains(nil))
        #expect(ListenerProxies([.unix], isUnix: false) == nil && ListenerProxies([both[0]], isUnix: true) == nil)
        #expect(try address("*:1").proxies(both) == [both[0]] && address("*:1,direct").proxies(both) == nil)
        #expect(try address("unix:/x").proxies(both) == [.unix] && address("unix:/x").proxies([both[0]]) == nil)
    }

    @Test("Dropping the last --proxy-from of a kind lets more clients in; a wider range is no loss")
    func reload() throws {
        func options(_ sources: String...) throws -> ServerOptions {
            var options = ServerOptions()
            options.proxyFrom = try sources.map { try ProxySource($0) }
            return options
        }
        func lost(_ old: ServerOptions, _ new: ServerOptions) -> [String] {
            new.admissionLost(from: old).map { "\($0)\($0.opens ? "!" : "")" }
        }
        #expect(try lost(options("10.0.0.0/8"), options()) == ["proxy-from 10.0.0.0/8!"])
        #expect(try lost(options("10.0.0.0/8", "::1"), options("::1")) == ["proxy-from 10.0.0.0/8"])
        #expect(try lost(options("10.0.0.0/8", "unix"), options("10.0.0.0/8")) == ["proxy-from unix!"])
        #expect(try lost(options("10.1.0.0/16", "unix"), options("10.0.0.0/8", "unix")) == [])
    }
}

@Suite("A proxy's client in the tables of the parent")
struct ProxiedRecordTests {
    private let proxy = SocketAddress(host: "10.0.0.1", port: 9)!

    @Test("A record takes a source once, and is counted by it only where it was admitted")
    func standing() throws {
        var table = try ChildTable(3)
        for (slot, standing) in [(0, ChildTable.Standing.direct), (1, .unidentified)] {
            table.insert(
                ChildTable.Record(
                    pid: ProcessID(slot + 7), slot: slot, connection: 1, peer: proxy, acceptedAt: at(0),
                    standing: standing))
        }
        #expect(table.identify(client, in: 0) == nil && table.identify(client, in: 2) == nil)
        #expect(table[7]?.via == nil && table[7]?.countedAddress == proxy.ipNumber)
        #expect(table[8]?.peer.description == "10.0.0.1:9" && table[8]?.via?.description == "10.0.0.1:9")
        #expect(table[8]?.countedAddress == nil)
        #expect(table.identify(client, in: 1)?.peer.description == "203.0.113.7:5")
        #expect(table.identify(ClientSource(address: 1, port: 1), in: 1) == nil, "a child gone wild changes nothing")
        #expect(table[8]?.countedAddress == nil)
        table.judged(1, isAdmitted: false)
        #expect(table[8]?.countedAddress == nil && table[8]?.peer.description == "203.0.113.7:5")
        table.judged(1, isAdmitted: true)
        #expect(table[8]?.countedAddress == client.address && table[8]?.via?.description == "10.0.0.1:9")
    }

    @Test("A verdict stands in the slot of its child until it is taken back, beside any command")
    func verdicts() throws {
        let commands = try ChildCommands(slots: 3, level: .info)
        #expect(commands[1].verdict == nil)
        commands.answer(.admitted, to: 1)
        commands.post(.end, to: 1)
        #expect(commands[1].verdict == .admitted && commands[1].command == .end)
        for reason in Admission.Reason.allCases {
            commands.answer(.refused(reason, retryAfter: .max), to: 1)
            #expect(commands[1].verdict == .refused(reason, retryAfter: .max))
        }
        #expect(commands[0].verdict == nil && commands[2].verdict == nil && commands[2].command == nil)
        commands.clearVerdict(1)
        #expect(commands[1].verdict == nil && commands[1].command == .end)
    }

    @Test("What children announce is taken once, whole, and not where it was forgotten")
    func announcements() throws {
        var announcements = try SourceAnnouncements(100)
        let wide = ClientSource(address: .max - 1, port: .max)
        announcements.announce(wide, of: 1)
        announcements.announce(client, of: 70)
        announcements.announce(client, of: 71)
        announcements.forget(71)
        var taken: [Int: ClientSource] = [:]
        announcements.takeAll(below: 100) { taken[$0] = $1 }
        #expect(taken == [1: wide, 70: client])
        announcements.takeAll(below: 100) { _, _ in Issue.record("taken twice") }
    }

    @Test("An address is made of its number, as it was taken from it", arguments: ["192.0.2.7", "2001:db8::7", "::"])
    func numbers(_ host: String) throws {
        let address = try #require(SocketAddress(host: host, port: 9))
        let again = SocketAddress(ipNumber: try #require(address.ipNumber), port: 9)
        #expect(again.description == address.description && again.family == address.family)
    }
}

@Suite("A certificate's name in place of a TOKEN")
struct ProvedNameTests {
    @Test("A TOKEN is judged where a file is there; a proved name counts without one, and no other does")
    func names() throws {
        let tokens = try Tokens(parsing: text("secret alice"))
        func name(_ token: String?, _ tokens: Tokens?, _ proved: String??) throws -> String? {
            try Tokens.name(of: token.map { text($0) }, in: tokens, proved)
        }
        #expect(try name(nil, nil, nil) == nil && name("x", nil, nil) == nil)
        #expect(try name("secret", tokens, nil) == "alice" && name("secret", tokens, .some("till")) == "alice")
        #expect(try name("secret", tokens, .some(nil)) == "alice")
        #expect(try name(nil, tokens, .some("till")) == "till" && name("x", nil, .some("till")) == "till")
        for (token, tokens, proved) in [
            (nil, tokens, nil), ("x", tokens, nil), ("x", tokens, .some("till")), (nil, tokens, .some(nil)),
            (nil, nil, .some(nil)), ("x", nil, .some(nil)),
        ] as [(String?, Tokens?, String??)] {
            do {
                let name = try name(token, tokens, proved)
                Issue.record("let in as \(name ?? "nobody")")
            } catch let error as Violation {
                #expect(error.code == .unauthorized)
            }
        }
    }
}
