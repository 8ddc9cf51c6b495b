/// The name or address that a server's certificate has to be for (RFC 9525).
package struct ExpectedName: Sendable {
    /// As it stands in certificates; empty where nothing is checked.
    package let text: String

    /// The most bytes of a name in SNI (RFC 6066, section 3, as OpenSSL bounds it).
    private static let longest = 255

    /// Reads what a program gives. An empty text is no name, which only a certificate that is not checked allows. Throws
    /// where no certificate could have the name. OpenSSL would take an empty name for any, one with a dot before it for all
    /// that end like it, and of one with a zero its beginning.
    package init(_ given: String, isChecked: Bool) throws(TLSError) {
        guard !given.isEmpty else {
            guard !isChecked else { throw TLSError(.options, "there is no name to check") }
            text = ""
            return
        }
        // A name that is absolute ends with a dot, which certificates do not have; a scope is no part of an address.
        let isAddress = given.contains(":")
        text = String((given.hasSuffix(".") ? given.dropLast() : given[...]).prefix { $0 != "%" || !isAddress })
        guard !text.isEmpty, !text.hasPrefix("."), !text.utf8.contains(0), text.utf8.count <= ExpectedName.longest
        else { throw TLSError(.options, "'\(given)' is no name that a certificate could have") }
    }
}
