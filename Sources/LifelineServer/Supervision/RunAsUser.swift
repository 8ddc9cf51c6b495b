import Posix

extension Account {
    /// The account that `options` name; nil where they name none.
    ///
    /// /etc/passwd and /etc/group are read here: getpwnam(3) loads other files into the process, which one that is
    /// fully static cannot do. A file that cannot be read counts as empty; numbers need none.
    static func named(in options: ServerOptions) throws(StartError) -> Account? {
        guard let user = options.user else {
            guard options.group == nil else {
                throw StartError(.badOptions, "--group needs --user: root keeps all privileges in every group")
            }
            return nil
        }
        func lines(_ path: String) -> [UInt8] { (try? contents(ofFile: path, most: 1 << 24)) ?? [] }
        do throws(AccountError) {
            return try Account(
                user: user, group: options.group, passwd: lines("/etc/passwd"), groups: lines("/etc/group"))
        } catch {
            switch error {
            case .senseless(let text): throw StartError(.badOptions, text)
            case .unknown(let text): throw StartError(.noUser, text)
            }
        }
    }

    /// Makes the file at `path` its own.
    func take(_ path: String) throws(StartError) {
        do throws(SystemError) {
            try giveFile(at: path, to: user, group: group)
        } catch {
            throw StartError(.refused, "cannot give \(path) to --user: \(error.text) (\(error.call))", cause: error)
        }
    }

    /// Becomes this account for the rest of the process's life, with its environment; throws what the system refused.
    func become() throws(StartError) {
        // Whoever started the server wants it to end with it. The kernel forgets that when the user changes.
        let atDeath = deathSignal
        do {
            try Posix.become(user: user, group: group)
            deathSignal = atDeath
            // The memory of a title is that of the environment, as far as it lies together.
            _ = ProcessTitle.own
            for (name, value) in environment { setEnvironmentVariable(name, to: value) }
        } catch {
            throw StartError(
                .cannotBecome,
                "cannot become user \(user) and group \(group): \(error.text) (\(error.call)); start it as root, or "
                    + "without --user", cause: error)
        }
    }
}
