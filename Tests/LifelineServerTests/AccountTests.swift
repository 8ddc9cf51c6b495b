import Testing

@testable import LifelineServer

@Suite("The user that a server becomes")
struct AccountTests {
    private static let passwd = """
        # comment
        root:x:0:0:root:/root:/bin/sh
        toor:x:0:0::/root:/bin/sh
        lifeline:x:990:980:Lifeline:/:/usr/sbin/nologin
        7:x:991:981:a name of digits:/:
        short:x:992
        odd:x:many:980::/:
        +::::::

        """
    private static let groups = """
        root:x:0:
        lifeline:x:980:
        readers:x:500:lifeline
        odd:x

        """

    private func account(_ user: String, _ group: String? = nil) throws(AccountError) -> Account {
        try Account(
            user: user, group: group, passwd: text(AccountTests.passwd), groups: text(AccountTests.groups))
    }

    @Test(
        "A name or a number is a user; its group is its own, or the one that is named",
        arguments: [
            ("lifeline", nil, 990, 980), ("990", nil, 990, 980), ("lifeline", "readers", 990, 500),
            ("lifeline", "77", 990, 77), ("12345", "readers", 12345, 500), ("12345", "0", 12345, 0),
            ("7", "8", 7, 8), ("991", nil, 991, 981), ("4294967294", "4294967294", 4_294_967_294, 4_294_967_294),
        ] as [(String, String?, UInt32, UInt32)])
    func found(_ user: String, _ group: String?, _ uid: UInt32, _ gid: UInt32) throws {
        let account = try account(user, group)
        #expect(account.user == uid && account.group == gid)
    }

    @Test(
        "Who is not there is told by name",
        arguments: [
            ("nobdy", nil, "user 'nobdy'"), ("", nil, "user ''"), ("+", nil, "user '+'"), ("odd", nil, "user 'odd'"),
            ("-1", nil, "user '-1'"), ("4294967295", "1", "user '4294967295'"), ("# comment", nil, "user '# comment'"),
            ("lifeline", "redaers", "group 'redaers'"), ("lifeline", "odd", "group 'odd'"),
            ("lifeline", "4294967295", "group '4294967295'"), ("12345", nil, "--group"), ("short", nil, "--group"),
            ("7", nil, "--group"),
        ] as [(String, String?, String)])
    func unknown(_ user: String, _ group: String?, _ part: String) {
        let mistake = #expect(throws: AccountError.self) { try account(user, group) }
        guard case .unknown(let text) = mistake else {
            Issue.record("\(String(describing: mistake))")
            return
        }
        #expect(text.contains(part), "\(text)")
    }

    @Test("Whoever is root under whatever name is nobody to become", arguments: ["root", "toor", "0", "00"])
    func root(_ user: String) {
        for group in [nil, "readers"] {
            guard case .senseless? = #expect(throws: AccountError.self, performing: { try account(user, group) })
            else {
                Issue.record("\(user) is taken")
                return
            }
        }
    }
}
