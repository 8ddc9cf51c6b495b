import Posix

/// What is wrong with a text that should be a range, and what may have been meant.
public struct AddressRangeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A sentence for a person.
    public let description: String
}

/// A range of IP addresses in CIDR form, or one address: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7` (RFC 4632).
///
/// A client of IPv4 is one of IPv4 on every listener: one that came to `::` is in 10.0.0.0/8, never in ::/0.
public struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    /// The first address, that of IPv4 in the form of IPv6, as `SocketAddress.ipNumber` has it.
    private let first: UInt128
    /// How many bits of it all addresses of the range share.
    private let shared: Int
    /// As it was written.
    public let description: String

    /// This machine.
    static let loopbackV4 = AddressRange(first: 0xFFFF_7F00_0000, shared: 104, "127.0.0.0/8")
    static let loopbackV6 = AddressRange(first: 1, shared: 128, "::1")

    private init(first: UInt128, shared: Int, _ description: String) {
        self.first = first
        self.shared = shared
        self.description = description
    }

    /// Reads a range; bits behind its length must be 0, so that no range is taken for another.
    public init(_ text: String) throws(AddressRangeError) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard !text.contains("%"), let first = SocketAddress(host: String(parts[0]), port: 0)?.ipNumber else {
            throw AddressRangeError(
                description: "'\(text)' is not a range of addresses like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7")
        }
        let isWrittenV4 = !parts[0].contains(":")
        let longest = isWrittenV4 ? 32 : 128
        let length = parts.count == 2 ? AddressRange.number(parts[1]) : longest
        guard let length, length <= longest else {
            throw AddressRangeError(description: "'\(text)' has no length from 0 to \(longest) behind its /")
        }
        shared = length + 128 - longest
        let behind: UInt128 = (1 << UInt128(128 - shared)) &- 1
        guard first & behind == 0 else {
            let meant = "\(SocketAddress.text(ofIPNumber: first & ~behind))/\(length)"
            throw AddressRangeError(
                description:
                    "'\(text)' has bits behind its length: \(meant) is the range, \(parts[0]) the address alone")
        }
        self.first = first
        description = text
    }

    private static func number(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }

    /// Whether the address is in the range.
    package func contains(_ address: UInt128) -> Bool {
        (address ^ first) >> UInt128(128 - shared) == 0 && AddressRange.isV4(address) == AddressRange.isV4(first)
    }

    /// Whether every address of the other range is in this one.
    func covers(_ other: AddressRange) -> Bool { shared <= other.shared && contains(other.first) }

    /// Whether an address is in both.
    func overlaps(_ source: SourceNetwork) -> Bool {
        (source.first ^ first) >> UInt128(128 - min(shared, Int(source.shared))) == 0
            && AddressRange.isV4(source.first) == AddressRange.isV4(first)
    }

    /// Whether the number is that of an address of IPv4.
    static func isV4(_ address: UInt128) -> Bool { address >> 32 == 0xFFFF }
}
