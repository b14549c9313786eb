/// Counts what is in a text.
pub trait WordCounter {
    /// Counts, and reports to `watcher`.
    fn count(
        &self,
        file: OsHandle,
        watcher: ProgressProxy,
    ) -> impl ::core::future::Future<
        Output = Result<Counts, CountError>,
    > + ::core::marker::Send;
    /// Takes bytes in every form.
    fn bytes(
        &self,
        a: &[u8],
        b: Vec<u8>,
        c: [u8; 4],
        d: Option<Vec<u8>>,
    ) -> impl ::core::future::Future<Output = Vec<u8>> + ::core::marker::Send;
    fn log(&self, line: &str);
    #[cfg(feature = "old")]
    #[deprecated = "use `count`"]
    fn total(&self) -> u64;
}
/// What can be called as a [`WordCounter`]: a [`WordCounterProxy`], or a server of this process. For code that does not mind.
#[allow(dead_code)]
pub trait WordCounterClient {
    /// Counts, and reports to `watcher`.
    fn count(
        &self,
        file: OsHandle,
        watcher: ProgressProxy,
    ) -> impl ::ipcz::__private::Calling<Counts, CountError>;
    /// Takes bytes in every form.
    fn bytes(
        &self,
        a: &[u8],
        b: Vec<u8>,
        c: [u8; 4],
        d: Option<Vec<u8>>,
    ) -> impl ::ipcz::__private::Calling<Vec<u8>>;
    /// Calls `WordCounter::log`.
    fn log(&self, line: &str) -> impl ::ipcz::__private::Calling<()>;
    /// Calls `WordCounter::total`.
    #[deprecated = "use `count`"]
    #[cfg(feature = "old")]
    fn total(&self) -> impl ::ipcz::__private::Calling<u64>;
}
/// Calls a [`WordCounter`] server, whichever node it is on. Its methods are the trait's.
#[allow(dead_code)]
pub struct WordCounterProxy {
    end: ::ipcz::__private::Client,
}
/// The end that calls of [`WordCounterProxy`] arrive at, until a [`WordCounter`] server takes them.
#[allow(dead_code)]
pub struct WordCounterReceiver {
    end: ::ipcz::__private::Incoming,
}
#[allow(dead_code)]
const _: () = {
    use ::ipcz::__private as __ipcz;
    const __INTERFACE: ::core::primitive::u64 = __ipcz::interface_id(
        <WordCounterProxy as __ipcz::Endpoint>::INTERFACE,
    );
    impl WordCounterProxy {
        /// A proxy and the receiver that its calls reach. Keep one, send the other.
        #[must_use]
        pub fn pair(node: &__ipcz::Node) -> (Self, WordCounterReceiver) {
            let (proxy, receiver) = __ipcz::Node::open_portals(node);
            (
                __ipcz::Endpoint::from_portal(proxy),
                __ipcz::Endpoint::from_portal(receiver),
            )
        }
        /// Counts, and reports to `watcher`.
        pub fn count(
            &self,
            file: OsHandle,
            watcher: ProgressProxy,
        ) -> __ipcz::Call<Counts, CountError> {
            self.end
                .call::<
                    __ipcz::Fallible<__ipcz::Plain>,
                    _,
                    _,
                >(
                    __ipcz::Method::new(
                        0xb1e5_e28e_4479_a274 ^ __INTERFACE,
                        "WordCounter::count",
                    ),
                    move |to| {
                        to.put::<__ipcz::Plain, OsHandle>("file", file)?;
                        to.put::<__ipcz::Plain, ProgressProxy>("watcher", watcher)?;
                        ::core::result::Result::Ok(())
                    },
                )
        }
        /// Takes bytes in every form.
        pub fn bytes(
            &self,
            a: &[u8],
            b: Vec<u8>,
            c: [u8; 4],
            d: Option<Vec<u8>>,
        ) -> __ipcz::Call<Vec<u8>> {
            self.end
                .call::<
                    __ipcz::Always<__ipcz::Bytes>,
                    _,
                    _,
                >(
                    __ipcz::Method::new(
                        0x2f2e_c047_4f1c_4fe4 ^ __INTERFACE,
                        "WordCounter::bytes",
                    ),
                    move |to| {
                        to.put::<__ipcz::Bytes, &[u8]>("a", a)?;
                        to.put::<__ipcz::Bytes, Vec<u8>>("b", b)?;
                        to.put::<__ipcz::Array, [u8; 4]>("c", c)?;
                        to.put::<
                                __ipcz::Optional<__ipcz::Bytes>,
                                Option<Vec<u8>>,
                            >("d", d)?;
                        ::core::result::Result::Ok(())
                    },
                )
        }
        /// Calls `WordCounter::log`.
        pub fn log(&self, line: &str) -> __ipcz::Sent {
            self.end
                .notify(
                    __ipcz::Method::new(
                        0x1250_7319_1daf_5431 ^ __INTERFACE,
                        "WordCounter::log",
                    ),
                    move |to| {
                        to.put::<__ipcz::Plain, &str>("line", line)?;
                        ::core::result::Result::Ok(())
                    },
                )
        }
        #[cfg(feature = "old")]
        /// Calls `WordCounter::total`.
        #[deprecated = "use `count`"]
        pub fn total(&self) -> __ipcz::Call<u64> {
            self.end
                .call::<
                    __ipcz::Always<__ipcz::Plain>,
                    _,
                    _,
                >(
                    __ipcz::Method::new(
                        0x0000_0000_0000_0007 ^ __INTERFACE,
                        "WordCounter::total",
                    ),
                    |_| ::core::result::Result::Ok(()),
                )
        }
    }
    #[automatically_derived]
    impl __ipcz::Endpoint for WordCounterProxy {
        const INTERFACE: &'static str = "demo.words.WordCounter";
        const VERSION: ::core::primitive::u32 = 1u32;
        fn from_portal(portal: __ipcz::Portal) -> Self {
            Self {
                end: ::core::convert::From::from(portal),
            }
        }
        fn portal(&self) -> &__ipcz::Portal {
            self.end.portal()
        }
        fn into_portal(self) -> ::core::result::Result<__ipcz::Portal, Self> {
            self.end.into_portal().map_err(|end| Self { end })
        }
    }
    #[automatically_derived]
    impl ::core::fmt::Debug for WordCounterProxy {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_tuple("WordCounterProxy").field(&self.end).finish()
        }
    }
    #[automatically_derived]
    impl __ipcz::serde::Serialize for WordCounterProxy {
        fn serialize<__S: __ipcz::serde::Serializer>(
            &self,
            serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            __ipcz::serialize_client("a `WordCounterProxy`", &self.end, serializer)
        }
    }
    #[automatically_derived]
    impl<'de> __ipcz::serde::Deserialize<'de> for WordCounterProxy {
        fn deserialize<__D: __ipcz::serde::Deserializer<'de>>(
            deserializer: __D,
        ) -> ::core::result::Result<Self, __D::Error> {
            __ipcz::deserialize_client(deserializer).map(|end| Self { end })
        }
    }
    impl WordCounterReceiver {
        /// Has `server` take the calls, on any executor, until the client closes its end.
        ///
        /// Calls start in order, and run at the same time, up to 1024 of them.
        ///
        /// # Errors
        /// The client was lost, or sent a malformed request; calls that still ran are dropped.
        pub fn serve(
            self,
            server: impl WordCounter + ::core::marker::Send + ::core::marker::Sync,
        ) -> impl ::core::future::Future<
            Output = ::core::result::Result<(), __ipcz::ServeError>,
        > + ::core::marker::Send {
            __ipcz::serve_shared::<Self, _>(self.end, server)
        }
        /// Has `server` take the calls, on this thread, until the client closes its end.
        ///
        /// Calls start in order, and run at the same time, up to 1024 of them.
        ///
        /// # Errors
        /// The client was lost, or sent a malformed request; calls that still ran are dropped.
        pub fn serve_blocking(
            self,
            server: impl WordCounter + ::core::marker::Send + ::core::marker::Sync,
        ) -> ::core::result::Result<(), __ipcz::ServeError> {
            __ipcz::serve_shared_blocking::<Self, _>(self.end, server)
        }
    }
    #[automatically_derived]
    impl __ipcz::Endpoint for WordCounterReceiver {
        const INTERFACE: &'static str = "demo.words.WordCounter";
        const VERSION: ::core::primitive::u32 = 1u32;
        fn from_portal(portal: __ipcz::Portal) -> Self {
            Self {
                end: ::core::convert::From::from(portal),
            }
        }
        fn portal(&self) -> &__ipcz::Portal {
            self.end.portal()
        }
        fn into_portal(self) -> ::core::result::Result<__ipcz::Portal, Self> {
            self.end.into_portal().map_err(|end| Self { end })
        }
    }
    #[automatically_derived]
    impl ::core::fmt::Debug for WordCounterReceiver {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_tuple("WordCounterReceiver").field(&self.end).finish()
        }
    }
    #[automatically_derived]
    impl __ipcz::serde::Serialize for WordCounterReceiver {
        fn serialize<__S: __ipcz::serde::Serializer>(
            &self,
            serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            __ipcz::serialize_incoming("a `WordCounterReceiver`", &self.end, serializer)
        }
    }
    #[automatically_derived]
    impl<'de> __ipcz::serde::Deserialize<'de> for WordCounterReceiver {
        fn deserialize<__D: __ipcz::serde::Deserializer<'de>>(
            deserializer: __D,
        ) -> ::core::result::Result<Self, __D::Error> {
            __ipcz::deserialize_incoming(deserializer).map(|end| Self { end })
        }
    }
    #[automatically_derived]
    impl __ipcz::Proxy for WordCounterProxy {
        type Receiver = WordCounterReceiver;
        fn client(&self) -> &__ipcz::Client {
            &self.end
        }
        fn from_client(end: __ipcz::Client) -> Self {
            Self { end }
        }
    }
    #[automatically_derived]
    impl __ipcz::Receiver for WordCounterReceiver {
        type Proxy = WordCounterProxy;
        fn incoming(&mut self) -> &mut __ipcz::Incoming {
            &mut self.end
        }
    }
    #[automatically_derived]
    impl WordCounterClient for WordCounterProxy {
        fn count(
            &self,
            file: OsHandle,
            watcher: ProgressProxy,
        ) -> impl __ipcz::Calling<Counts, CountError> {
            <WordCounterProxy>::count(self, file, watcher)
        }
        fn bytes(
            &self,
            a: &[u8],
            b: Vec<u8>,
            c: [u8; 4],
            d: Option<Vec<u8>>,
        ) -> impl __ipcz::Calling<Vec<u8>> {
            <WordCounterProxy>::bytes(self, a, b, c, d)
        }
        fn log(&self, line: &str) -> impl __ipcz::Calling<()> {
            <WordCounterProxy>::log(self, line)
        }
        #[allow(deprecated)]
        #[cfg(feature = "old")]
        fn total(&self) -> impl __ipcz::Calling<u64> {
            <WordCounterProxy>::total(self)
        }
    }
    #[automatically_derived]
    impl<
        __Server: WordCounter + ::core::marker::Send + ::core::marker::Sync,
    > WordCounterClient for __ipcz::Local<__Server> {
        fn count(
            &self,
            file: OsHandle,
            watcher: ProgressProxy,
        ) -> impl __ipcz::Calling<Counts, CountError> {
            async move {
                <__Server as WordCounter>::count(self.server(), file, watcher)
                    .await
                    .map_err(__ipcz::CallError::Application)
            }
        }
        fn bytes(
            &self,
            a: &[u8],
            b: Vec<u8>,
            c: [u8; 4],
            d: Option<Vec<u8>>,
        ) -> impl __ipcz::Calling<Vec<u8>> {
            async move {
                ::core::result::Result::Ok(
                    <__Server as WordCounter>::bytes(self.server(), a, b, c, d).await,
                )
            }
        }
        fn log(&self, line: &str) -> impl __ipcz::Calling<()> {
            async move {
                ::core::result::Result::Ok(
                    <__Server as WordCounter>::log(self.server(), line),
                )
            }
        }
        #[allow(deprecated)]
        #[cfg(feature = "old")]
        fn total(&self) -> impl __ipcz::Calling<u64> {
            async move {
                ::core::result::Result::Ok(
                    <__Server as WordCounter>::total(self.server()),
                )
            }
        }
    }
    #[automatically_derived]
    impl<
        __Server: WordCounter + ::core::marker::Send + ::core::marker::Sync,
    > __ipcz::ServeShared<__Server> for WordCounterReceiver {
        async fn dispatch(
            server: &__Server,
            request: __ipcz::Request,
        ) -> ::core::result::Result<
            ::core::option::Option<__ipcz::Parcel>,
            __ipcz::CodecError,
        > {
            ::core::result::Result::Ok(
                match request.method() ^ __INTERFACE {
                    0xb1e5_e28e_4479_a274 => {
                        let (answer, message, handles) = request.split();
                        let mut from = message.decoder("WordCounter::count", handles);
                        let file = from.take::<__ipcz::Plain, OsHandle>("file")?;
                        let watcher = from
                            .take::<__ipcz::Plain, ProgressProxy>("watcher")?;
                        from.finish("arguments of `WordCounter::count`")?;
                        let result = <__Server as WordCounter>::count(
                                server,
                                file,
                                watcher,
                            )
                            .await;
                        answer
                            .reply::<
                                __ipcz::Fallible<__ipcz::Plain>,
                                _,
                            >("WordCounter::count", result)
                    }
                    0x2f2e_c047_4f1c_4fe4 => {
                        let (answer, message, handles) = request.split();
                        let mut from = message.decoder("WordCounter::bytes", handles);
                        let a = from.take::<__ipcz::Bytes, &[u8]>("a")?;
                        let b = from.take::<__ipcz::Bytes, Vec<u8>>("b")?;
                        let c = from.take::<__ipcz::Array, [u8; 4]>("c")?;
                        let d = from
                            .take::<
                                __ipcz::Optional<__ipcz::Bytes>,
                                Option<Vec<u8>>,
                            >("d")?;
                        from.finish("arguments of `WordCounter::bytes`")?;
                        let result = <__Server as WordCounter>::bytes(server, a, b, c, d)
                            .await;
                        answer
                            .reply::<
                                __ipcz::Always<__ipcz::Bytes>,
                                _,
                            >("WordCounter::bytes", result)
                    }
                    0x1250_7319_1daf_5431 => {
                        let (answer, message, handles) = request.split();
                        let mut from = message.decoder("WordCounter::log", handles);
                        let line = from.take::<__ipcz::Plain, &str>("line")?;
                        from.finish("arguments of `WordCounter::log`")?;
                        let result = <__Server as WordCounter>::log(server, line);
                        answer
                            .reply::<
                                __ipcz::Always<__ipcz::Plain>,
                                _,
                            >("WordCounter::log", result)
                    }
                    #[cfg(feature = "old")]
                    #[allow(deprecated)]
                    0x0000_0000_0000_0007 => {
                        let (answer, message, handles) = request.split();
                        let from = message.decoder("WordCounter::total", handles);
                        from.finish("arguments of `WordCounter::total`")?;
                        let result = <__Server as WordCounter>::total(server);
                        answer
                            .reply::<
                                __ipcz::Always<__ipcz::Plain>,
                                _,
                            >("WordCounter::total", result)
                    }
                    _ => request.other::<Self>(),
                },
            )
        }
    }
};
