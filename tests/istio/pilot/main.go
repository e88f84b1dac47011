// Istio's control plane on a folder of manifests: pilot-discovery's own server, with the fake Kubernetes client of Istio's own
// tests. pilot-discovery itself can do without Kubernetes by its flags, but panics then in release 1.31: its controller of
// ServiceEntries asks for the cluster of a client that is not there.
package main

import (
	"flag"
	"log"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"unsafe"

	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pkg/kube"
)

func main() {
	folder := flag.String("config", "", "folder of manifests")
	mesh := flag.String("mesh", "", "file of the mesh configuration")
	networks := flag.String("networks", "", "file of the mesh's networks")
	grpc := flag.String("grpc", "", "where discovery listens, in plain text")
	http := flag.String("http", "", "where /ready is")
	monitoring := flag.String("monitoring", "", "where metrics are")
	flag.Parse()

	args := bootstrap.NewPilotArgs(func(args *bootstrap.PilotArgs) {
		args.Namespace = "istio-system"
		args.MeshConfigFile = *mesh
		args.NetworksConfigFile = *networks
		args.RegistryOptions.FileDir = *folder
		args.RegistryOptions.KubeOptions.DomainSuffix = "cluster.local"
		args.RegistryOptions.KubeOptions.ClusterID = "Kubernetes"
		args.ServerOptions = bootstrap.DiscoveryServerOptions{HTTPAddr: *http, GRPCAddr: *grpc, MonitoringAddr: *monitoring}
	})
	server, err := bootstrap.NewServer(args, useFakeClient)
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan struct{})
	if err := server.Start(stop); err != nil {
		log.Fatal(err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
	close(stop)
}

// Istio's tests are of the same package and set the field.
func useFakeClient(server *bootstrap.Server) {
	field := reflect.ValueOf(server).Elem().FieldByName("kubeClient")
	place := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
	place.Set(reflect.ValueOf(kube.NewFakeClient()))
}
