import Arguments
import LifelineServer

extension ServerSettings {
    static let admissionFlags = ServerFlagSection(
        "Admission",
        [
            SettingsFlag(
                "--max-connections", "N", "refuse connections beyond this number with BUSY", \.options.maxConnections,
                .integer(in: 1...4_000_000)
            ).atRestart(.maxConnections),
            SettingsFlag(
                "--memory-budget", "BYTES",
                "refuse requests beyond this many bytes that wait in all connections together; twice --max-message or "
                    + "more", \.options.memoryBudget, .size(in: UInt64(1 << 16)...(1 << 46)), unset: "no limit"
            ).live,
            SettingsFlag(
                "--max-per-source", "N", "connections of one source; clients of a Unix socket have none",
                \.options.maxPerSource, .integer(in: 1...4_000_000), unset: "no limit"
            ).removing(.maxPerSource) { $0.maxPerSource = nil }.live,
            SettingsFlag(
                "--source-prefix", "V4,V6",
                "addresses that share this many first bits are one source, of IPv4 and of IPv6", \.options.sourcePrefix,
                ValueFormat(read: prefix, describe: \.description)
            ).live,
            SettingsFlag(
                "--max-rate", "N", "connections that are let in within a second", \.options.maxRate,
                .integer(in: 1...1_000_000), unset: "no limit"
            ).removing(.maxRate) { $0.maxRate = nil }.live,
            SettingsFlag(
                "--max-handshakes", "N|START:RATE:FULL",
                "connections that are before their HELLO: from START on RATE percent are refused at random, more and "
                    + "more up to FULL; N is N:100:N", \.options.maxHandshakes,
                ValueFormat(read: handshakes, describe: \.description), unset: "no limit"
            ).removing(.maxHandshakes) { $0.maxHandshakes = nil }.live,
            SettingsFlag(
                "--exempt", "RANGE",
                "never refuse these addresses because handshakes of them have failed; may be given several times"
            ) { settings, text throws(UsageError) in
                // The first one takes the place of the default.
                settings.exempt.append(try range(text))
                settings.options.exempt = settings.exempt
            }.defaulting { $0.options.exempt.map(\.description).joined(separator: " and ") }.repeated.live,
            SettingsFlag(
                "--token-file", "PATH",
                "let in clients that bring a TOKEN of this file: one a line, with or without a name behind it; read "
                    + "again when it changes", \.options.tokenFile, .file
            ).path(\.options.tokenFile).removing(.tokenFile) { $0.tokenFile = nil }.live,
            SettingsFlag(
                "--token-from-cn",
                "let in a client without a TOKEN whose certificate a proxy of --proxy-from has verified: the certificate's "
                    + "common name is the token's name. Without --token-file every client needs such a certificate"
            ) { $0.options.tokenFromCN = true }.atRestart(.tokenFromCN),
            SettingsFlag(
                "--allow", "RANGE",
                "let in clients of these addresses alone: 10.0.0.0/8, 2001:db8::/32 or one address; may be given "
                    + "several times"
            ) { settings, text throws(UsageError) in
                settings.options.allow.append(try range(text))
            }.defaulting { $0.options.allow.isEmpty ? "all" : "\($0.options.allow)" }.repeated
                .removing(.allow) { $0.allow = [] }.live,
            SettingsFlag(
                "--deny", "RANGE", "refuse clients of these addresses, whatever --allow says; also several times"
            ) { settings, text throws(UsageError) in
                settings.options.deny.append(try range(text))
            }.repeated.removing(.deny) { $0.deny = [] }.live,
        ])

    private static func range(_ text: String) throws(UsageError) -> AddressRange {
        do { return try AddressRange(text) } catch { throw UsageError(error.description) }
    }

    @Sendable private static func prefix(_ text: String) throws(UsageError) -> SourcePrefix {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let v4 = try? FlagValue.integer(parts[0], in: 1...32),
            let v6 = try? FlagValue.integer(parts[1], in: 1...128)
        else {
            throw UsageError("'\(text)' is not two numbers of bits like 32,64: of IPv4 up to 32, of IPv6 up to 128")
        }
        return SourcePrefix(v4: v4, v6: v6)
    }

    @Sendable private static func handshakes(_ text: String) throws(UsageError) -> HandshakeLimit {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { try? FlagValue.integer(String($0), in: 1...4_000_000) }
        switch (numbers.count == parts.count, numbers.count) {
        case (true, 1): return HandshakeLimit(numbers[0])
        case (true, 3) where numbers[1] <= 100 && numbers[0] <= numbers[2]:
            return HandshakeLimit(start: numbers[0], rate: numbers[1], full: numbers[2])
        default:
            throw UsageError(
                "'\(text)' is neither a number like 100 nor START:RATE:FULL like 10:30:100, with a RATE up to 100 and a "
                    + "FULL that is not below START")
        }
    }
}

extension SettingsFlag {
    /// The same flag, which can also say that there is no such rule: a reload drops a rule only then.
    func removing(
        _ rule: AdmissionRule, _ remove: @escaping @Sendable (inout ServerOptions) -> Void
    ) -> SettingsFlag {
        taking(rule.noRule) { settings in
            remove(&settings.options)
            settings.removedRules.insert(rule)
        }
    }
}
