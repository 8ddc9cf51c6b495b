/// What no case can show of a client that is known by its command alone.
enum ClientCoverage {
    /// The numbers of requirements, and why they have no case.
    static let invisible: [String: String] = {
        var reasons = ofClients
        for number in ofServers { reasons[number] = "what a server does" }
        return reasons
    }()

    private static let ofServers = [
        "2.3-2", "3.1-2", "3.2-2", "3.3-6", "3.5-6", "3.6-3", "3.6-7", "3.6-9", "3.6-10", "4.1-1", "4.2-1", "4.2-2",
        "4.4-1", "4.8-2", "4.8-3", "4.11-1", "4.11-2", "4.12-8", "5.3-1", "5.5-2", "5.8-1", "6-1", "6-2", "7.1-7",
        "7.2-1", "7.2-2", "7.2-3", "7.2-4", "7.3-3", "7.3-4", "7.4-1", "7.4-5", "7.4-7", "7.4-8", "7.5-3", "7.6-1",
        "7.6-2", "11-1", "11-5", "11-6", "3.7-4", "3.7-8", "12-1", "12-2", "12-3", "12-4", "12-5", "12-6", "12-7",
        "12-8",
        "12-9", "12-10", "12-11", "12-12",
    ]

    private static let ofClients = [
        "3.2-6": "delays of small segments can't be told from those of the machine",
        "3.6-2": "it takes 4294967295 requests",
        "3.8-2": "the program that reads messages would have to be slow",
        "3.6-6": "no line of standard input makes a client cancel",
        "5.5-3": "no line of standard input makes a client shut down its writing without CLOSE",
        "5.6-2": "how a program is told is its own affair",
        "5.9-2": "a client that sees the end of the stream is done (7.2-5)",
        "5.11-1": "the clock of the machine is not the suite's to set",
        "5.11-4": "the machine would have to be suspended",
        "5.11-5": "the machine would have to be suspended",
        "5.12-5": "no line of standard input makes a client put CLOSE behind what it sends",
        "5.13-1": "how a program is told is its own affair",
        "7.4-4": "no line of standard input makes a client say GOAWAY",
        "7.7-1": "how a caller is told is its own affair",
        "7.7-2": "how a caller is told is its own affair",
        "7.7-4": "how a caller is told is its own affair",
        "7.7-5": "how a caller is told is its own affair; 7.7-6 shows what follows from it",
        "7.7-8": "whether a client comes back at all is its own affair",
        "7.7-9": "whether a client comes back at all is its own affair",
        "11-2": "a TOKEN is nothing that every client is given",
        "11-4": "what the peer is not to know is known to nobody but the client",
    ]
}
