pub(crate) trait Progress {
    fn update(&mut self, done: u64);
    fn finish(
        &mut self,
    ) -> impl ::core::future::Future<Output = ()> + ::core::marker::Send;
    fn look(
        &self,
    ) -> impl ::core::future::Future<Output = Result<(), String>> + ::core::marker::Send;
}
/// What can be called as a [`Progress`]: a [`ProgressProxy`], or a server of this process. For code that does not mind.
#[allow(dead_code)]
pub(crate) trait ProgressClient {
    /// Calls `Progress::update`.
    fn update(&self, done: u64) -> impl crate::renamed::__private::Calling<()>;
    /// Calls `Progress::finish`.
    fn finish(&self) -> impl crate::renamed::__private::Calling<()>;
    /// Calls `Progress::look`.
    fn look(&self) -> impl crate::renamed::__private::Calling<(), String>;
}
/// Calls a [`Progress`] server, whichever node it is on. Its methods are the trait's.
#[allow(dead_code)]
pub(crate) struct ProgressProxy {
    end: crate::renamed::__private::Client,
}
/// The end that calls of [`ProgressProxy`] arrive at, until a [`Progress`] server takes them.
#[allow(dead_code)]
pub(crate) struct ProgressReceiver {
    end: crate::renamed::__private::Incoming,
}
#[allow(dead_code)]
const _: () = {
    use crate::renamed::__private as __ipcz;
    const __INTERFACE: ::core::primitive::u64 = __ipcz::interface_id(
        <ProgressProxy as __ipcz::Endpoint>::INTERFACE,
    );
    impl ProgressProxy {
        /// A proxy and the receiver that its calls reach. Keep one, send the other.
        #[must_use]
        pub(crate) fn pair(node: &__ipcz::Node) -> (Self, ProgressReceiver) {
            let (proxy, receiver) = __ipcz::Node::open_portals(node);
            (
                __ipcz::Endpoint::from_portal(proxy),
                __ipcz::Endpoint::from_portal(receiver),
            )
        }
        /// Calls `Progress::update`.
        pub(crate) fn update(&self, done: u64) -> __ipcz::Sent {
            self.end
                .notify(
                    __ipcz::Method::new(
                        0xa0ad_6831_2a3d_0454 ^ __INTERFACE,
                        "Progress::update",
                    ),
                    move |to| {
                        to.put::<__ipcz::Plain, u64>("done", done)?;
                        ::core::result::Result::Ok(())
                    },
                )
        }
        /// Calls `Progress::finish`.
        pub(crate) fn finish(&self) -> __ipcz::Call<()> {
            self.end
                .call::<
                    __ipcz::Always<__ipcz::Plain>,
                    _,
                    _,
                >(
                    __ipcz::Method::new(
                        0x6917_a5ba_b915_40f2 ^ __INTERFACE,
                        "Progress::finish",
                    ),
                    |_| ::core::result::Result::Ok(()),
                )
        }
        /// Calls `Progress::look`.
        pub(crate) fn look(&self) -> __ipcz::Call<(), String> {
            self.end
                .call::<
                    __ipcz::Fallible<__ipcz::Plain>,
                    _,
                    _,
                >(
                    __ipcz::Method::new(
                        0xcdec_edad_70d5_8d36 ^ __INTERFACE,
                        "Progress::look",
                    ),
                    |_| ::core::result::Result::Ok(()),
                )
        }
    }
    #[automatically_derived]
    impl __ipcz::Endpoint for ProgressProxy {
        const INTERFACE: &'static str = ::core::concat!(
            ::core::module_path!(), "::Progress"
        );
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
    impl ::core::fmt::Debug for ProgressProxy {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_tuple("ProgressProxy").field(&self.end).finish()
        }
    }
    #[automatically_derived]
    impl __ipcz::serde::Serialize for ProgressProxy {
        fn serialize<__S: __ipcz::serde::Serializer>(
            &self,
            serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            __ipcz::serialize_client("a `ProgressProxy`", &self.end, serializer)
        }
    }
    #[automatically_derived]
    impl<'de> __ipcz::serde::Deserialize<'de> for ProgressProxy {
        fn deserialize<__D: __ipcz::serde::Deserializer<'de>>(
            deserializer: __D,
        ) -> ::core::result::Result<Self, __D::Error> {
            __ipcz::deserialize_client(deserializer).map(|end| Self { end })
        }
    }
    impl ProgressReceiver {
        /// Has `server` take the calls, on any executor, until the client closes its end.
        ///
        /// Calls run in order, one at a time. A method that waits for a call back into this very endpoint waits forever.
        ///
        /// # Errors
        /// The client was lost, or sent a malformed request; calls that still ran are dropped.
        pub(crate) fn serve(
            self,
            server: impl Progress + ::core::marker::Send,
        ) -> impl ::core::future::Future<
            Output = ::core::result::Result<(), __ipcz::ServeError>,
        > + ::core::marker::Send {
            __ipcz::serve_exclusive::<Self, _>(self.end, server)
        }
        /// Has `server` take the calls, on this thread, until the client closes its end.
        ///
        /// Calls run in order, one at a time. A method that waits for a call back into this very endpoint waits forever.
        ///
        /// # Errors
        /// The client was lost, or sent a malformed request; calls that still ran are dropped.
        pub(crate) fn serve_blocking(
            self,
            server: impl Progress + ::core::marker::Send,
        ) -> ::core::result::Result<(), __ipcz::ServeError> {
            __ipcz::serve_exclusive_blocking::<Self, _>(self.end, server)
        }
    }
    #[automatically_derived]
    impl __ipcz::Endpoint for ProgressReceiver {
        const INTERFACE: &'static str = ::core::concat!(
            ::core::module_path!(), "::Progress"
        );
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
    impl ::core::fmt::Debug for ProgressReceiver {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_tuple("ProgressReceiver").field(&self.end).finish()
        }
    }
    #[automatically_derived]
    impl __ipcz::serde::Serialize for ProgressReceiver {
        fn serialize<__S: __ipcz::serde::Serializer>(
            &self,
            serializer: __S,
        ) -> ::core::result::Result<__S::Ok, __S::Error> {
            __ipcz::serialize_incoming("a `ProgressReceiver`", &self.end, serializer)
        }
    }
    #[automatically_derived]
    impl<'de> __ipcz::serde::Deserialize<'de> for ProgressReceiver {
        fn deserialize<__D: __ipcz::serde::Deserializer<'de>>(
            deserializer: __D,
        ) -> ::core::result::Result<Self, __D::Error> {
            __ipcz::deserialize_incoming(deserializer).map(|end| Self { end })
        }
    }
    #[automatically_derived]
    impl __ipcz::Proxy for ProgressProxy {
        type Receiver = ProgressReceiver;
        fn client(&self) -> &__ipcz::Client {
            &self.end
        }
        fn from_client(end: __ipcz::Client) -> Self {
            Self { end }
        }
    }
    #[automatically_derived]
    impl __ipcz::Receiver for ProgressReceiver {
        type Proxy = ProgressProxy;
        fn incoming(&mut self) -> &mut __ipcz::Incoming {
            &mut self.end
        }
    }
    #[automatically_derived]
    impl ProgressClient for ProgressProxy {
        fn update(&self, done: u64) -> impl __ipcz::Calling<()> {
            <ProgressProxy>::update(self, done)
        }
        fn finish(&self) -> impl __ipcz::Calling<()> {
            <ProgressProxy>::finish(self)
        }
        fn look(&self) -> impl __ipcz::Calling<(), String> {
            <ProgressProxy>::look(self)
        }
    }
    #[automatically_derived]
    impl<__Server: Progress + ::core::marker::Send> ProgressClient
    for __ipcz::LocalExclusive<__Server> {
        fn update(&self, done: u64) -> impl __ipcz::Calling<()> {
            async move {
                let mut server = self.server().await;
                ::core::result::Result::Ok(
                    <__Server as Progress>::update(&mut server, done),
                )
            }
        }
        fn finish(&self) -> impl __ipcz::Calling<()> {
            async move {
                let mut server = self.server().await;
                ::core::result::Result::Ok(
                    <__Server as Progress>::finish(&mut server).await,
                )
            }
        }
        fn look(&self) -> impl __ipcz::Calling<(), String> {
            async move {
                let mut server = self.server().await;
                <__Server as Progress>::look(&mut server)
                    .await
                    .map_err(__ipcz::CallError::Application)
            }
        }
    }
    #[automatically_derived]
    impl<__Server: Progress + ::core::marker::Send> __ipcz::ServeExclusive<__Server>
    for ProgressReceiver {
        async fn dispatch(
            server: &mut __Server,
            request: __ipcz::Request,
        ) -> ::core::result::Result<
            ::core::option::Option<__ipcz::Parcel>,
            __ipcz::CodecError,
        > {
            ::core::result::Result::Ok(
                match request.method() ^ __INTERFACE {
                    0xa0ad_6831_2a3d_0454 => {
                        let (answer, message, handles) = request.split();
                        let mut from = message.decoder("Progress::update", handles);
                        let done = from.take::<__ipcz::Plain, u64>("done")?;
                        from.finish("arguments of `Progress::update`")?;
                        let result = <__Server as Progress>::update(server, done);
                        answer
                            .reply::<
                                __ipcz::Always<__ipcz::Plain>,
                                _,
                            >("Progress::update", result)
                    }
                    0x6917_a5ba_b915_40f2 => {
                        let (answer, message, handles) = request.split();
                        let from = message.decoder("Progress::finish", handles);
                        from.finish("arguments of `Progress::finish`")?;
                        let result = <__Server as Progress>::finish(server).await;
                        answer
                            .reply::<
                                __ipcz::Always<__ipcz::Plain>,
                                _,
                            >("Progress::finish", result)
                    }
                    0xcdec_edad_70d5_8d36 => {
                        let (answer, message, handles) = request.split();
                        let from = message.decoder("Progress::look", handles);
                        from.finish("arguments of `Progress::look`")?;
                        let result = <__Server as Progress>::look(server).await;
                        answer
                            .reply::<
                                __ipcz::Fallible<__ipcz::Plain>,
                                _,
                            >("Progress::look", result)
                    }
                    _ => request.other::<Self>(),
                },
            )
        }
    }
};
