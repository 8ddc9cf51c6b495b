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
    /// Its name, its home directory and its shell; nil where /etc/passwd does not have the user.
    let name: [UInt8]?
    let home: [UInt8]?
    let shell: [UInt8]?

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
        let entry = Account.entry(of: found, in: passwd)
        func field(_ number: Int) -> [UInt8]? { entry.flatMap { $0.count > number ? $0[number] : nil } }
        name = field(0)
        home = field(5)
        shell = field(6)
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

    /// The fields of a user's line, in bytes: a path need not be text.
    private static func entry(of user: UInt32, in passwd: [UInt8]) -> [[UInt8]]? {
        passwd.split(separator: UInt8(ascii: "\n")).lazy
            .map { $0.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map { Array($0) } }
            .first { $0.count > 2 && number(String(decoding: $0[2], as: UTF8.self)) == user }
    }

    /// The variables that name the user of a process, with this account's values; nil removes one.
    ///
    /// Without them programs would read and write what belongs to the user that started the server. What leads to that
    /// user's session is removed.
    var environment: [(name: String, value: [UInt8]?)] {
        [
            ("HOME", home.flatMap { $0.isEmpty ? nil : $0 } ?? Array("/".utf8)), ("USER", name), ("LOGNAME", name),
            ("SHELL", shell.flatMap { $0.isEmpty ? nil : $0 } ?? Array("/bin/sh".utf8)),
        ]
            + [
                "MAIL", "XDG_RUNTIME_DIR", "XDG_SESSION_ID", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME",
                "XDG_STATE_HOME", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "SUDO_USER", "SUDO_UID", "SUDO_GID",
                "SUDO_COMMAND", "SUDO_HOME",
            ].map { ($0, nil) }
    }

    /// The highest number means "leave it" to the system.
    private static func number(_ text: String) -> UInt32? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt32(text), number != .max else {
            return nil
        }
        return number
    }
}
