/// Why there is no account of that name.
enum AccountError: Error, Equatable {
    /// The two flags cannot mean anything, whatever the machine has.
    case senseless(String)
    /// The machine has no such user or group.
    case unknown(String)
}

/// The user and the group that a server becomes once it listens.
struct Account: Equatable {
    let user: UInt32
    let group: UInt32

    /// Finds a user and a group by name or number in the contents of /etc/passwd and /etc/group (passwd(5), group(5)).
    ///
    /// Numbers are taken as they are; without a group it is the user's own.
    init(user: String, group: String?, passwd: [UInt8], groups: [UInt8]) throws(AccountError) {
        let users = Account.lines(passwd)
        let number = Account.number(user)
        let line = users.first { number == nil ? $0[0] == user : $0.count > 2 && Account.number($0[2]) == number }
        guard let found = number ?? line.flatMap({ $0.count > 2 ? Account.number($0[2]) : nil }) else {
            throw .unknown("there is no user '\(user)' in /etc/passwd")
        }
        guard found != 0 else {
            throw .senseless("--user \(user) keeps all privileges: name another user, or leave it out")
        }
        self.user = found
        if let group {
            let line = Account.lines(groups).first { $0[0] == group }
            guard let found = Account.number(group) ?? line.flatMap({ $0.count > 2 ? Account.number($0[2]) : nil })
            else { throw .unknown("there is no group '\(group)' in /etc/group") }
            self.group = found
        } else {
            guard let line, line.count > 3, let own = Account.number(line[3]) else {
                throw .unknown("user '\(user)' has no group in /etc/passwd: name one with --group")
            }
            self.group = own
        }
    }

    private static func lines(_ bytes: [UInt8]) -> [[String]] {
        bytes.split(separator: UInt8(ascii: "\n")).map { line in
            line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
                .map { String(decoding: $0, as: UTF8.self) }
        }
    }

    /// The highest number means "leave it" to the system.
    private static func number(_ text: String) -> UInt32? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt32(text), number != .max else {
            return nil
        }
        return number
    }
}
