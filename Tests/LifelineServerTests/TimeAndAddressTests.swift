import Glibc
import Posix
import Testing

@Suite("Times and addresses as they are shown")
struct TimeAndAddressTests {
    @Test("UTC is what gmtime(3) reckons, before 1970 too")
    func utc() {
        // About 29 hours apart, so that days, hours and minutes of all kinds occur, from 1800 to 2400.
        for second in stride(from: -5_364_662_400 as Int64, through: 13_569_465_600, by: 104_729) {
            var time = time_t(second)
            var parts = tm()
            gmtime_r(&time, &parts)
            let ours = WallTime(milliseconds: second * 1000 + 7)
            guard
                ours.year == parts.tm_year + 1900, ours.month == parts.tm_mon + 1, ours.day == parts.tm_mday,
                ours.hour == parts.tm_hour, ours.minute == parts.tm_min, ours.second == parts.tm_sec,
                ours.millisecond == 7
            else {
                Issue.record("\(second): \(ours)")
                return
            }
        }
    }

    @Test(
        "The last day of February and the first of March, in years that leap and years that do not",
        arguments: [
            (951_782_400_000, 2000, 2, 29), (951_868_800_000, 2000, 3, 1), (4_107_456_000_000, 2100, 2, 28),
            (4_107_542_400_000, 2100, 3, 1), (1_709_164_800_000, 2024, 2, 29), (0, 1970, 1, 1),
            (-1, 1969, 12, 31), (1_798_761_599_999, 2026, 12, 31),
        ] as [(Int64, Int32, Int32, Int32)])
    func days(milliseconds: Int64, year: Int32, month: Int32, day: Int32) {
        let time = WallTime(milliseconds: milliseconds)
        #expect(time.year == year && time.month == month && time.day == day)
    }

    @Test(
        "An address is shown with its port, one of IPv4 as itself even where IPv6 carries it",
        arguments: [
            ("127.0.0.1", "127.0.0.1:7400", "127.0.0.1"), ("0.0.0.0", "0.0.0.0:7400", "0.0.0.0"),
            ("255.255.255.255", "255.255.255.255:7400", "255.255.255.255"),
            ("::ffff:192.0.2.7", "192.0.2.7:7400", "192.0.2.7"), ("::1", "[::1]:7400", "::1"),
            ("::", "[::]:7400", "::"), ("2001:DB8::0:1", "[2001:db8::1]:7400", "2001:db8::1"),
            ("1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:7400", "1:2:3:4:5:6:7:8"),
            ("::fffe:1.2.3.4", "[::fffe:102:304]:7400", "::fffe:102:304"),
        ])
    func addresses(typed: String, shown: String, host: String) throws {
        let address = try #require(SocketAddress(host: typed, port: 7400))
        #expect(address.description == shown && address.host == host && address.port == 7400)
        #expect(SocketAddress.text(ofIPNumber: try #require(address.ipNumber)) == host)
    }

    @Test("A link-local address has its zone, by name or by number")
    func zones() throws {
        for zone in ["lo", "1"] {
            let address = try #require(SocketAddress(host: "fe80::1%\(zone)", port: 7400))
            #expect(address.description == "[fe80::1%lo]:7400" && address.host == "fe80::1%lo")
            #expect(SocketAddress(host: "[fe80::1%\(zone)]", port: 7400)?.description == "[fe80::1%lo]:7400")
        }
        #expect(SocketAddress(host: "fe80::1%2147483647", port: 1)?.description == "[fe80::1%2147483647]:1")
        #expect(SocketAddress(host: "fe80::1%nowhere", port: 1) == nil)
    }

    @Test(
        "Where to listen may be a name that means the same on every machine",
        arguments: [
            ("localhost", "127.0.0.1:7400"), ("LocalHost.", "127.0.0.1:7400"), ("ip6-localhost", "[::1]:7400"),
            ("*", "[::]:7400"), ("::", "[::]:7400"), ("127.0.0.2", "127.0.0.2:7400"), ("example.org", nil), ("", nil),
        ] as [(String, String?)])
    func listenHosts(typed: String, shown: String?) {
        #expect(SocketAddress(listenHost: typed, port: 7400)?.description == shown)
        if !typed.contains(":") {
            #expect(SocketAddress(listenHostAndPort: "\(typed):7400")?.description == shown)
        }
        #expect(SocketAddress(host: "*", port: 1) == nil && SocketAddress(host: "localhost", port: 1) == nil)
    }

    @Test("A Unix socket is shown with its path, however long")
    func unix() throws {
        for path in ["/run/x", "/" + String(repeating: "ä", count: 53)] {
            let address = try #require(SocketAddress(host: "unix:\(path)", port: 0))
            #expect(address.description == "unix:\(path)" && address.host == nil && address.port == nil)
        }
        var unnamed = sockaddr()
        unnamed.sa_family = sa_family_t(AF_UNIX)
        let length = socklen_t(MemoryLayout<sa_family_t>.size)
        #expect(SocketAddress(copying: &unnamed, length: length).description == "unix")
    }
}
