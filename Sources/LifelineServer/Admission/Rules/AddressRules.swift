/// Decides by its address whether a client may connect.
struct AddressRules {
    /// Ranges that are let in; none lets all in.
    let allow: [AddressRange]
    /// Wins over `allow`.
    let deny: [AddressRange]

    /// Why a client of this address is not let in; nil where it is. A client without an address came through a Unix
    /// socket, where the permissions of the file decide.
    func refusal(of address: UInt128?) -> String? {
        guard let address else { return nil }
        if let range = deny.first(where: { $0.contains(address) }) { return "\(range) is denied" }
        return allow.isEmpty || allow.contains { $0.contains(address) } ? nil : "it is in no range that is allowed"
    }
}
