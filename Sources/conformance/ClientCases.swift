extension Case<ClientBench> {
    /// All cases against clients, in the order of Protocol.md.
    static let all: [Case] = section3
}
