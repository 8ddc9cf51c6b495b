import Posix
import Testing

@testable import LifelineServer

@Suite("Ranges of addresses")
struct AddressRangeTests {
    private func number(_ host: String) throws -> UInt128 {
        try #require(SocketAddress(host: host, port: 1)?.ipNumber, "\(host)")
    }

    private func contains(_ range: String, _ host: String) throws -> Bool {
        try AddressRange(range).contains(number(host))
    }

    @Test(
        "A range ends where its length says",
        arguments: [
            ("10.0.0.0/8", "10.0.0.0", "10.255.255.255", ["9.255.255.255", "11.0.0.0", "a00::", "::a00:0"]),
            ("192.0.2.7", "192.0.2.7", "192.0.2.7", ["192.0.2.6", "192.0.2.8"]),
            ("192.0.2.7/32", "192.0.2.7", "192.0.2.7", ["192.0.2.6", "192.0.2.8"]),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.255", ["192.0.2.127", "192.0.3.0"]),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255", ["::", "::1", "2001:db8::1", "::fffe:a00:1"]),
            ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ["10.0.0.1", "0.0.0.0"]),
            (
                "2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                ["2001:db7:ffff::", "2001:db9::"]
            ),
            ("2001:db8::/127", "2001:db8::", "2001:db8::1", ["2001:db8::2"]),
            ("::1", "::1", "::1", ["::2", "::", "127.0.0.1", "0.0.0.1"]),
            ("::ffff:10.0.0.0/104", "10.0.0.0", "10.255.255.255", ["11.0.0.0", "::a00:0"]),
        ])
    func ends(_ range: String, _ first: String, _ last: String, _ outside: [String]) throws {
        #expect(try contains(range, first) && contains(range, last))
        for host in outside { #expect(try !contains(range, host), "\(host)") }
        #expect(try AddressRange(range).description == range)
    }

    @Test("A client of IPv4 that came to :: is one of IPv4")
    func mapped() throws {
        #expect(try contains("10.0.0.0/8", "::ffff:10.1.2.3"))
        #expect(try !contains("::/0", "::ffff:10.1.2.3"))
    }

    @Test(
        "What is no range is told, and what may have been meant",
        arguments: [
            ("10.0.0.1/8", "10.0.0.0/8 is the range, 10.0.0.1 the address"),
            ("192.0.2.255/25", "192.0.2.128/25 is the range"),
            ("1.2.3.4/0", "0.0.0.0/0 is the range"), ("2001:db8::1/32", "2001:db8::/32 is the range"),
            ("::ffff:10.0.0.0/90", "::ffc0:0:0/90 is the range"),
            ("10.0.0.0/33", "0 to 32"), ("10.0.0.0/", "0 to 32"), ("10.0.0.0/-1", "0 to 32"),
            ("10.0.0.0/+8", "0 to 32"),
            ("10.0.0.0/8/8", "0 to 32"), ("::/129", "0 to 128"), ("::/x", "0 to 128"),
            ("10.0.0/8", "like 10.0.0.0/8"), ("10/8", "like"), ("", "like"), ("/8", "like"), ("localhost", "like"),
            ("unix:/tmp/x", "like"), ("fe80::1%lo", "like"), ("010.0.0.0/8", "like"), ("1.2.3.256", "like"),
        ])
    func mistakes(_ text: String, _ part: String) {
        let mistake = #expect(throws: AddressRangeError.self) { try AddressRange(text) }
        #expect(mistake?.description.contains(part) == true, "\(mistake?.description ?? "")")
        #expect(mistake?.description.hasPrefix("'\(text)' ") == true)
    }

    @Test("Everybody is let in without ranges, the allowed alone with them, and the denied never; a Unix socket always")
    func rules() throws {
        func refusal(allow: [String] = [], deny: [String] = [], _ host: String) throws -> String? {
            try AddressRules(allow: allow.map { try AddressRange($0) }, deny: deny.map { try AddressRange($0) })
                .refusal(of: SocketAddress(host: host, port: 0)?.ipNumber)
        }
        #expect(try refusal("192.0.2.1") == nil && refusal("::1") == nil)
        let nets = ["10.0.0.0/8", "2001:db8::/32"]
        for host in ["10.1.2.3", "2001:db8::1", "unix:/socket"] {
            #expect(try refusal(allow: nets, host) == nil)
        }
        for host in ["192.0.2.1", "::1"] {
            #expect(try refusal(allow: nets, host) == "it is in no range that is allowed")
            #expect(try refusal(deny: nets, host) == nil)
        }
        #expect(try refusal(deny: nets, "10.1.2.3") == "10.0.0.0/8 is denied")
        #expect(try refusal(allow: ["10.1.2.3"], deny: nets, "10.1.2.3") == "10.0.0.0/8 is denied")
        #expect(try refusal(allow: nets, deny: ["10.1.0.0/16"], "10.1.2.3") == "10.1.0.0/16 is denied")
        #expect(try refusal(allow: nets, deny: ["10.1.0.0/16"], "10.2.0.0") == nil)
        #expect(try refusal(deny: ["0.0.0.0/0", "::/0"], "unix:/socket") == nil)
    }
}
