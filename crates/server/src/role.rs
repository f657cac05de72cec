//! A process that is one role and nothing else: its listeners, what is told to those who watch it, and its end.

use std::io::Write;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use ingam_protocol::proxy::Front;
use ingam_responder::Responder;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::End;
use crate::config::Config;
use crate::listener::{Listener, Peer, SharedLimits, Sockets};
use crate::notify::{self, State};
use crate::observation::{Observation, Observed, Reporter};
use crate::serve::{StartError, connection_limits, hangups, keep_metrics, until};
use crate::wire;

/// Such a process, running.
pub(crate) struct RoleProcess {
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
    health: Arc<dyn Reporter>,
    observed: Observed,
    connections_max: usize,
    limits: Arc<SharedLimits>,
}

impl RoleProcess {
    /// Answers those who watch at `watched`; nobody else yet.
    pub(crate) fn new(
        config: &Config,
        health: Arc<dyn Reporter>,
        metrics: PrometheusHandle,
        watched: Vec<TcpListener>,
    ) -> Self {
        let (shutdown, stopping) = watch::channel(false);
        let limits = SharedLimits::new(connection_limits(config));
        let connections_max = config.limits.connections_max;
        let metrics = Arc::new(metrics);
        let observation = Observation::new(health.clone(), metrics.clone());
        let listener = Listener {
            name: "metrics",
            sockets: watched.into(),
            tls: None,
            front: Front::default(),
            connections_max,
            limits: limits.clone(),
        };
        let observed = Observed::serve(listener, observation);
        let mut tasks = JoinSet::new();
        tasks.spawn(until(stopping, keep_metrics(metrics)));
        Self { shutdown, tasks, health, observed, connections_max, limits }
    }

    /// Answers whoever comes to these sockets, from now on and until the process ends.
    pub(crate) fn serve<H, F, B>(
        &mut self,
        name: &'static str,
        sockets: Sockets,
        tls: Option<TlsAcceptor>,
        answer: H,
    ) where
        H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = self.listener(name, sockets, tls);
        self.tasks.spawn(listener.serve(answer, self.shutdown.subscribe()));
    }

    fn listener(&self, name: &'static str, sockets: Sockets, tls: Option<TlsAcceptor>) -> Listener {
        let (connections_max, limits) = (self.connections_max, self.limits.clone());
        Listener { name, sockets, tls, front: Front::default(), connections_max, limits }
    }

    /// Answers OCSP at these sockets, with a thread for each set of them, until the process ends.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub(crate) fn serve_ocsp(
        &mut self,
        responder: &Responder,
        sockets: Vec<Vec<std::net::TcpListener>>,
    ) -> std::io::Result<()> {
        let (limits, stopping) = (self.limits.clone(), self.shutdown.subscribe());
        let open = wire::Open { front: Front::default(), connections_max: self.connections_max, limits };
        self.tasks.spawn(wire::start(responder, sockets, open, stopping)?);
        Ok(())
    }

    /// Answers OCSP over https at these sockets, until the process ends.
    pub(crate) fn serve_ocsp_tls(&mut self, responder: &Responder, sockets: Sockets, tls: TlsAcceptor) {
        let listener = self.listener("publication_tls", sockets, Some(tls));
        self.tasks.spawn(wire::publish(listener, responder.clone(), self.shutdown.subscribe()));
    }

    /// Does this beside, until the process ends.
    pub(crate) fn keep(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(until(self.shutdown.subscribe(), job));
    }

    /// Does this beside, until the end that it is told of; that waits until it is done.
    pub(crate) fn finish<F>(&mut self, job: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(job(self.shutdown.subscribe()));
    }

    /// Says that it is ready, and runs until it is told to end; each SIGHUP is a call of `reload`. Those who watch are told of
    /// the end first, and served to the last.
    ///
    /// # Errors
    /// [`StartError`] if signals cannot be listened for, or nothing can be said.
    pub(crate) async fn run(mut self, mut reload: impl AsyncFnMut()) -> Result<(), StartError> {
        let end = End::listen()?;
        let mut hangups = hangups()?;
        let told = writeln!(std::io::stdout(), "ready");
        if told.is_ok() {
            notify::tell(State::Ready);
            let mut ended = std::pin::pin!(end.come());
            loop {
                tokio::select! {
                    () = &mut ended => break,
                    Some(()) = hangups.recv() => {
                        notify::tell(State::Reloading);
                        reload().await;
                        // Whatever came of it, the process serves.
                        notify::tell(State::Ready);
                    }
                }
            }
        }
        notify::tell(State::Stopping);
        self.health.stop();
        // Nobody listens any more if this fails.
        let _ = self.shutdown.send(true);
        while self.tasks.join_next().await.is_some() {}
        self.observed.stop().await;
        told.map_err(|error| StartError::new(format!("standard output: {error}")))
    }
}
