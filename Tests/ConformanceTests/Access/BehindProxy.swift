import Glibc
import RawWire
import Testing

extension Live.Access {
    /// Clients that a proxy names in a header: what holds for them, and what holds for the proxy.
    @Suite("Behind a proxy") struct BehindProxy {}
}

private let proxies = ["--proxy-from", "127.0.0.1"]

// MARK: Limits by source

extension Live.Access.BehindProxy {
    @Test("--max-per-source counts the sources that headers name: a third client of one proxy is let in")
    func perSource() throws {
        try withControl { control in
            try withServer(proxies + ["--max-per-source", "2", "--control", control]) { server in
                var peers = try ["203.0.113.7", "203.0.113.7", "203.0.113.8"].map {
                    try server.openProxied(ProxyBytes.v1($0))
                }
                let notice = try server.refusalProxied(ProxyBytes.v2("203.0.113.7", 7))
                #expect(notice.code == .busy && notice.words.contains("as many connections as it may"))
                #expect((1000...2000).contains(notice.retryAfter))
                try server.log.line(
                    with: " warning refused ", "reason=BUSY", "limit=max-per-source", "peer=203.0.113.7:7",
                    "via=127.0.0.1:", "2 is reached by 203.0.113.7")
                let rows = try Operator(control: control).connections { $0.count == 3 }
                #expect(
                    rows.map { $0["peer"] as? String } == [
                        "203.0.113.7:40000", "203.0.113.7:40000", "203.0.113.8:40000",
                    ])
                #expect(rows.map { $0["via"] as? String } == peers.map { "127.0.0.1:\($0.localPort)" })
                let table = try Operator(control: control).ctl("connections")
                #expect(table.contains(" VIA ") && table.contains("203.0.113.8:40000"))
                peers.removeFirst().close()
                try server.waitForChildren(2)
                peers.append(try server.openProxied(ProxyBytes.v2("203.0.113.7")))
                for peer in peers { peer.close() }
            }
        }
    }

    @Test("--allow and --deny are about clients, and never about the proxy's own address")
    func addresses() throws {
        try withServer(proxies + ["--allow", "203.0.113.0/24", "--deny", "203.0.113.9", "--deny", "127.0.0.0/8"]) {
            server in
            try server.openProxied(ProxyBytes.v1("203.0.113.8")).close()
            for source in ["203.0.113.9", "198.51.100.1"] {
                let notice = try server.refusalProxied(ProxyBytes.v2(source, 9))
                #expect(notice.code == .unauthorized && notice.retryAfter == 0)
            }
            try server.log.line(
                with: " warning refused reason=UNAUTHORIZED limit=address peer=203.0.113.9:9 via=127.0.0.1:",
                "203.0.113.9 is denied")
        }
    }

    @Test("Failed handshakes penalise the source that the header names; a wrong header penalises nobody")
    func penalties() throws {
        try withControl { control in
            try withServer(proxies + ["--exempt", "192.0.2.0/24", "--control", control]) { server in
                for _ in 0..<8 {
                    #expect(try server.refusalProxied(Array("PROXY nonsense\r\n".utf8)).code == .protocolError)
                }
                for _ in 0..<7 {
                    let peer = try server.proxied(ProxyBytes.v1("203.0.113.7") + [0x16, 3, 1])
                    try peer.takePreface()
                    try peer.takeClose()
                    peer.close()
                    try server.waitForChildren(0)
                }
                let notice = try server.refusalProxied(ProxyBytes.v1("203.0.113.7"))
                #expect(notice.code == .busy && notice.words.contains("handshakes"))
                try server.log.line(
                    with: " warning refused ", "limit=penalty", "peer=203.0.113.7:40000", "via=127.0.0.1:")
                try server.openProxied(ProxyBytes.v1("203.0.113.8")).close()
                let rows = try Operator(control: control).json("penalties")
                #expect(rows.compactMap { $0["source"] as? String } == ["203.0.113.7"])
            }
        }
    }

    @Test("A connection from outside the ranges is refused before a process is forked, whatever header it forges")
    func forged() throws {
        try withControl { control in
            try withServer("--proxy-from", "127.0.0.2", "--control", control, "--metrics", "127.0.0.1:0") { server in
                for bytes in [ProxyBytes.v1("203.0.113.7") + [0x16, 3, 1], RawFrame.preface + RawFrame.hello().bytes] {
                    let peer = try server.connect()
                    try peer.send(bytes)
                    try peer.takePreface()
                    let notice = try peer.takeClose()
                    #expect(notice.code == .unauthorized && notice.words.contains("its proxies alone"))
                    peer.close()
                }
                try server.log.line(with: " warning refused reason=UNAUTHORIZED limit=proxy-from peer=127.0.0.1:")
                let samples = try Scraper(server).samples()
                #expect(samples["connections_refused_total{reason=\"UNAUTHORIZED\",limit=\"proxy-from\"}"] == 2)
                #expect(samples.sum("connections_accepted_total") == 0)
                #expect(try Operator(control: control).json("penalties").count == 1, "the verdict alone")
            }
        }
    }
}

// MARK: The header's bytes

extension Live.Access.BehindProxy {
    @Test(
        "A header comes as it comes: byte by byte, with all that the client says, or alone; no byte of it is the client's"
    )
    func pieces() throws {
        try withServer(proxies + ["--log-level", "debug"]) { server in
            let said = RawFrame.preface + RawFrame.hello().bytes + RawFrame.request(1, "hello").bytes
            for header in [
                ProxyBytes.v1("203.0.113.7", 1),
                ProxyBytes.v2("203.0.113.7", 1, ProxyBytes.tlv(4, [UInt8](repeating: 0, count: 3000))),
            ] {
                let (chopped, whole, alone) = (try server.connect(), try server.connect(), try server.connect())
                try chopped.send(Array(header.prefix(60)), chop: .bytes)
                try chopped.send(Array(header.dropFirst(60)) + said)
                try whole.send(header + said)
                try alone.send(header)
                for peer in [chopped, whole, alone] {
                    if peer === alone { try peer.send(said) }
                    try peer.takePreface()
                    #expect(try peer.frames(upTo: .response).last?.text == "hello")
                    try peer.send(.close())
                    try peer.takeClose()
                    peer.close()
                }
            }
            try server.waitForChildren(0)
            let closed = server.log.linesSoFar.filter { $0.contains(" closed ") }
            let bytes = said.count + RawFrame.close().bytes.count
            #expect(closed.count == 6 && closed.allSatisfy { $0.contains(" peer=203.0.113.7:1 via=127.0.0.1:") })
            #expect(closed.allSatisfy { $0.contains(" bytes_in=\(bytes) ") }, "\(closed)")
        }
    }

    @Test("Health checks are no clients: nothing is said, nothing is told above debug, and they are counted as probes")
    func probes() throws {
        try withControl { control in
            try withServer(proxies + ["--control", control, "--log-level", "debug"]) { server in
                for bytes in [[], ProxyBytes.local, ProxyBytes.longLocal] {
                    let peer = try server.proxied(bytes)
                    peer.shutdownWriting()
                    try peer.takeEnd()
                    peer.close()
                }
                let reset = try server.connect()
                reset.reset()
                var probes: [String] = []
                let areTold = eventually {
                    probes = server.log.linesSoFar.filter { $0.contains(" debug probed ") }
                    return probes.count == 4
                }
                try server.waitForChildren(0)
                #expect(areTold && !server.log.textSoFar.contains(" warning "), "\(server.log.textSoFar)")
                #expect(probes.allSatisfy { $0.contains("peer=127.0.0.1:") && $0.contains("via=127.0.0.1:") })
                let status = try #require(Operator(control: control).json("status").last)
                #expect(status["probes"] as? Int == 4)
                // What goes on behind LOCAL is served, and has no source.
                let peer = try server.openProxied(ProxyBytes.longLocal)
                try server.log.line(
                    with: " opened ", "peer=127.0.0.1:\(peer.localPort) via=127.0.0.1:\(peer.localPort)")
                peer.close()
                let unknown = try server.openProxied(Array("PROXY UNKNOWN\r\n".utf8))
                try server.log.line(with: " opened ", "peer=127.0.0.1:\(unknown.localPort) via=")
                unknown.close()
            }
        }
    }

    @Test("A header that is wrong or missing ends with PROTOCOL_ERROR, and with a text that says what is expected")
    func wrong() throws {
        try withServer(proxies + ["--metrics", "127.0.0.1:0"]) { server in
            for header in [
                [], Array("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".utf8),
                Array(ProxyBytes.local.dropLast(4)) + [0x2F, 0, 0, 0],
            ] {
                let notice = try server.refusalProxied(header)
                #expect(
                    notice.code == .protocolError
                        && notice.words.hasSuffix("--proxy-from asks for a header of the PROXY protocol"))
            }
            let cut = try server.proxied(Array(ProxyBytes.v1("203.0.113.7").dropLast()))
            cut.shutdownWriting()
            try cut.takePreface()
            #expect(try cut.takeClose().words.contains("within the header"))
            cut.close()
            try server.waitForChildren(0)
            let closed = server.log.linesSoFar.filter {
                $0.contains(" warning closed ") && $0.contains(" reason=PROTOCOL_ERROR by=server ")
            }
            #expect(closed.count == 4 && closed.allSatisfy { $0.contains(" via=127.0.0.1:") })
            #expect(
                try Scraper(server).samples()["connections_closed_total{reason=\"PROTOCOL_ERROR\",by=\"server\"}"] == 4)
        }
    }
}

// MARK: What the proxy says of TLS

extension Live.Access.BehindProxy {
    @Test("--token-from-cn: a proved name stands for a TOKEN, which wins; what is not proved counts for nothing")
    func certificates() throws {
        let file = try TemporaryFile(Array("open-sesame alice\n".utf8))
        let token = RawFrame.hello(options: RawFrame.option(1, Array("open-sesame".utf8)))
        let wrongToken = RawFrame.hello(options: RawFrame.option(1, Array("x".utf8)))
        func header(_ tls: [UInt8]) -> [UInt8] { ProxyBytes.v2("203.0.113.7", 1, tls + ProxyBytes.tlv(5, "id-1")) }
        let proved = header(ProxyBytes.tls(name: "till-7"))
        let unproved = [
            header(ProxyBytes.tls(name: "till-7", client: 1)), header(ProxyBytes.tls(name: "till-7", verify: 1)),
            header(ProxyBytes.tls(name: nil)), header(ProxyBytes.tls(name: "till\n7")), header([]),
            ProxyBytes.v1("203.0.113.7"),
        ]
        for hasFile in [true, false] {
            let arguments = ["--token-from-cn", "--log-level", "debug"] + (hasFile ? ["--token-file", file.path] : [])
            try withServer(proxies + arguments) { server in
                try server.openProxied(proved).close()
                try server.log.line(
                    with: " opened ", "via=127.0.0.1:", "unique_id=id-1 tls=TLSv1.3 cn=till-7 token=till-7")
                for header in unproved {
                    let notice = try server.refusalProxied(header)
                    #expect(notice.code == .unauthorized && notice.words.contains("certificate"))
                }
                if hasFile {
                    try server.openProxied(proved, token).close()
                    try server.log.line(with: " opened ", "cn=till-7 token=alice")
                    try server.openProxied(unproved[0], token).close()
                    #expect(try server.refusalProxied(proved, wrongToken).words.contains("not accepted"))
                } else {
                    try server.openProxied(proved, wrongToken).close()
                    #expect(try server.refusalProxied(unproved[0], token).code == .unauthorized)
                }
            }
        }
    }

    @Test("Programs have the client, the address that it has connected to, the proxy, and the client's TLS")
    func environment() throws {
        let script = Script("read line; env | sort | tr '\\n' ' '; echo")
        try withServer("--proxy-from", "127.0.0.1", exec: script) { server in
            let tls = ProxyBytes.tls(name: "till-7") + ProxyBytes.tlv(2, "server.test")
            let peer = try server.openProxied(ProxyBytes.v2("203.0.113.7", 7, tls))
            let text = try peer.answers(to: ["x"])[0]
            for variable in [
                "PROTO=TCP", "TCPREMOTEIP=203.0.113.7", "TCPREMOTEPORT=7", "TCPLOCALIP=192.0.2.1", "TCPLOCALPORT=443",
                "TCPPROXYIP=127.0.0.1", "TCPPROXYPORT=\(peer.localPort)", "LIFELINE_TLS_VERSION=TLSv1.3",
                "LIFELINE_TLS_CIPHER=TLS_AES_256_GCM_SHA384", "LIFELINE_TLS_SNI=server.test", "LIFELINE_TLS_CN=till-7",
            ] {
                #expect(text.contains("\(variable) "), "\(text)")
            }
            peer.close()
            let other = try server.openProxied(
                ProxyBytes.v2("203.0.113.7", 7, ProxyBytes.tls(name: "a\nLIFELINE_NAME=eve")))
            let bare = try other.answers(to: ["x"])[0]
            #expect(
                bare.contains("LIFELINE_TLS_VERSION=") && !bare.contains("LIFELINE_TLS_CN=") && !bare.contains("eve"))
            other.close()
        }
    }
}
