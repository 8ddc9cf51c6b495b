/// An option that decides which clients are let in. The raw value is its name in a configuration file.
package enum AdmissionRule: String, CaseIterable, Sendable {
    case tokenFile = "token-file"
    case proxyFrom = "proxy-from"
    case allow, deny
    case maxPerSource = "max-per-source"
    case maxRate = "max-rate"
    case maxHandshakes = "max-handshakes"

    /// The value that says that there is no such rule.
    package var noRule: String { self == .allow ? "all" : "none" }
    /// What stands in a configuration file where the rule is meant to be gone.
    var removal: String { "\(rawValue) \(noRule)" }
}

/// A rule that new options do not have any more.
struct AdmissionLoss: Equatable, CustomStringConvertible {
    let rule: AdmissionRule
    /// As it stood in the configuration.
    let value: String
    /// Whether more clients are let in without it.
    let opens: Bool

    var description: String { "\(rule.rawValue) \(value)" }
}

extension ServerOptions {
    /// The rules of `running` that are gone from these options. A limit with another value is still there, and so is a
    /// range that is part of a wider one.
    ///
    /// A file that is half written lacks lines. So a loss that lets more clients in counts only where the file says that
    /// it is meant.
    func admissionLost(from running: ServerOptions) -> [AdmissionLoss] {
        var lost: [AdmissionLoss] = []
        func check(_ rule: AdmissionRule, _ old: String?, isThere: Bool) {
            if let old, !isThere { lost.append(AdmissionLoss(rule: rule, value: old, opens: true)) }
        }
        check(.tokenFile, running.tokenFile, isThere: tokenFile != nil)
        // Without any, a listener takes connections of everybody.
        for source in running.proxyFrom where !proxyFrom.contains(where: { $0.covers(source) }) {
            let isLast = !proxyFrom.contains { ($0 == .unix) == (source == .unix) }
            lost.append(AdmissionLoss(rule: .proxyFrom, value: source.description, opens: isLast))
        }
        for range in running.allow where !allow.contains(where: { $0.covers(range) }) {
            lost.append(AdmissionLoss(rule: .allow, value: range.description, opens: allow.isEmpty))
        }
        for range in running.deny {
            check(.deny, range.description, isThere: deny.contains { $0.covers(range) })
        }
        check(.maxPerSource, running.maxPerSource.map { "\($0)" }, isThere: maxPerSource != nil)
        check(.maxRate, running.maxRate.map { "\($0)" }, isThere: maxRate != nil)
        check(.maxHandshakes, running.maxHandshakes.map { "\($0)" }, isThere: maxHandshakes != nil)
        return lost
    }
}
